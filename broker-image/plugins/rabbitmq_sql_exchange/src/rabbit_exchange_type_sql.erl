%% The exchange type `x-sql'.
%%
%% A binding may carry two arguments: `x-sql-filter', an AMQP SQL filter expression, and `x-subject-filter', wildcards
%% over the message's subject. A message goes to the destination of every binding whose filters all hold for it, once
%% to each destination, and so to that of every binding without filters. Routing keys play no part in the decision; they
%% only tell two bindings of the same destination apart.
%%
%% Guarantees:
%%   - Arguments that are wrong are refused when they are bound, with the reason.
%%   - Whatever a message holds, routing never fails for its sender: a filter that cannot be evaluated for a message
%%     does not match it, is counted, and disturbs no other binding.
%%   - A message sees all bindings as they were at one moment. To change a filter, bind with the new one, then unbind
%%     the old one: what matches both is neither lost nor doubled meanwhile.
-module(rabbit_exchange_type_sql).
-behaviour(rabbit_exchange_type).

-include_lib("rabbit_common/include/rabbit.hrl").

-export([description/0, serialise_events/0, route/3, validate/1, validate_binding/2, create/2, delete/2,
         policy_changed/2, add_binding/3, remove_bindings/3, assert_args_equivalence/2, info/1, info/2]).

-define(TYPE, <<"x-sql">>).

%% RabbitMQ's own table of all bindings by the exchange they begin at, the one that fanout exchanges read.
%% rabbit_router:match_bindings/2 goes through the bindings of all exchanges of all virtual hosts for each message.
%% And one look-up by key is one moment: what is bound and unbound meanwhile is seen as a whole or not at all.
-define(BINDINGS, rabbit_khepri_route_by_source).

%% From so many bindings on, a process to route a message in costs less than what it saves the sender.
-define(MANY, 64).
%% What one binding of a usual size takes while a message is routed.
-define(WORDS_PER_BINDING, 120).

%% `enables' puts the registration before the recovery of exchanges: were the type unknown then, every exchange of
%% this type would route nothing until it is declared again.
-rabbit_boot_step({?MODULE,
                   [{description, "exchange type x-sql"},
                    {mfa, {rabbit_registry, register, [exchange, ?TYPE, ?MODULE]}},
                    {cleanup, {rabbit_registry, unregister, [exchange, ?TYPE]}},
                    {requires, rabbit_registry},
                    {enables, kernel_ready}]}).

description() ->
    [{name, ?TYPE},
     {description, <<"Routes to bindings whose filters (arguments x-sql-filter, x-subject-filter) hold for the message">>}].

serialise_events() -> false.

%% A sender remembers which exchanges had many bindings when it last sent to them.
route(#exchange{name = Name}, Msg, _Options) ->
    {Count, Destinations} = case get({?MODULE, Name}) of
                                undefined -> destinations(Name, Msg);
                                Many -> rabbit_sql_exchange_aside:run(Many * ?WORDS_PER_BINDING, fun() -> destinations(Name, Msg) end)
                            end,
    _ = case Count >= ?MANY of
            true -> put({?MODULE, Name}, Count);
            false -> erase({?MODULE, Name})
        end,
    Destinations.

destinations(Name, Msg) ->
    Message = rabbit_sql_exchange_message:new(Name, Msg),
    Cache = rabbit_sql_exchange_cache:open(),
    Matches = fun(Args) -> rabbit_sql_exchange_binding:matches(Args, Message, Cache) end,
    try ets:lookup(?BINDINGS, Name) of
        Routes ->
            {length(Routes), [Destination || #route_by_source{destination = Destination, args = Args} <- Routes, Matches(Args)]}
    catch
        %% No such table: slower, but right.
        error:badarg -> {0, rabbit_router:match_bindings(Name, fun(#binding{args = Args}) -> Matches(Args) end)}
    end.

validate(_Exchange) -> ok.

validate_binding(_Exchange, #binding{args = Args}) ->
    case rabbit_sql_exchange_binding:compile(Args) of
        {error, Reason} -> {error, {binding_invalid, "~ts", [Reason]}};
        _Filters -> ok
    end.

create(_Serial, _Exchange) -> ok.
delete(_Serial, _Exchange) -> ok.
policy_changed(_Old, _New) -> ok.

%% Nothing is kept per binding: these are called only on the node that does the binding, while every node routes.
add_binding(_Serial, _Exchange, _Binding) -> ok.
remove_bindings(_Serial, _Exchange, _Bindings) -> ok.

assert_args_equivalence(Exchange, Args) -> rabbit_exchange:assert_args_equivalence(Exchange, Args).

info(_Exchange) -> [].
info(_Exchange, _Items) -> [].
