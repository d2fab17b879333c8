%% The exchange type `x-sql'.
%%
%% A binding may carry the argument `x-sql-filter': an AMQP SQL filter expression. A message goes to the destination
%% of every binding whose filter is true for it, and of every binding that has no filter. Routing keys play no part
%% in the decision; they only tell two bindings of the same destination apart.
%%
%% Guarantees:
%%   - A filter that does not parse is refused when it is bound, with the reason.
%%   - Whatever a message holds, routing never fails for its sender: a filter that cannot be evaluated for a message
%%     does not match it, is counted, and disturbs no other binding.
-module(rabbit_exchange_type_sql).
-behaviour(rabbit_exchange_type).

-include_lib("rabbit_common/include/rabbit.hrl").

-export([description/0, serialise_events/0, route/3, validate/1, validate_binding/2, create/2, delete/2,
         policy_changed/2, add_binding/3, remove_bindings/3, assert_args_equivalence/2, info/1, info/2]).

-define(TYPE, <<"x-sql">>).
-define(ARGUMENT, <<"x-sql-filter">>).

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
     {description, <<"Routes to bindings whose SQL filter (argument x-sql-filter) is true for the message">>}].

serialise_events() -> false.

route(#exchange{name = Name}, Msg, _Options) ->
    rabbit_router:match_bindings(Name, fun(#binding{args = Args}) -> binding_matches(Args, Msg) end).

validate(_Exchange) -> ok.

validate_binding(_Exchange, #binding{args = Args}) ->
    case rabbit_misc:table_lookup(Args, ?ARGUMENT) of
        undefined ->
            ok;
        {longstr, Sql} ->
            case rabbit_sql_exchange_filter:parse(Sql) of
                {ok, _Filter} -> ok;
                {error, Reason} -> {error, {binding_invalid, "x-sql-filter is not a valid SQL filter: ~ts", [Reason]}}
            end;
        {Type, _Value} ->
            {error, {binding_invalid, "x-sql-filter must be a string, not of type ~ts", [Type]}}
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

binding_matches(Args, Msg) ->
    case rabbit_misc:table_lookup(Args, ?ARGUMENT) of
        undefined -> true;
        {longstr, Sql} -> rabbit_sql_exchange_filter:matches(rabbit_sql_exchange_cache:lookup(Sql), Msg);
        %% Refused at bind time. It can only be here when the binding was made while this exchange's type was not
        %% loaded; to send such a subscriber everything would be worse than to send it nothing.
        _ -> false
    end.
