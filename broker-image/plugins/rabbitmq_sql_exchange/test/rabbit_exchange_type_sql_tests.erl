-module(rabbit_exchange_type_sql_tests).

-include("../../check.hrl").
-include_lib("rabbit_common/include/rabbit.hrl").

-import(rabbit_sql_exchange_messages, [amqp/1]).

-define(EXCHANGE, #exchange{name = rabbit_misc:r(<<"vhost">>, exchange, <<"x">>), type = 'x-sql'}).

validate_binding_test_() ->
    [{"without arguments", ?_assertEqual(ok, validate([]))},
     {"with other arguments", ?_assertEqual(ok, validate([{<<"other">>, longstr, <<"x">>}]))},
     {"with a filter", ?_assertEqual(ok, validate([{<<"x-sql-filter">>, longstr, <<"a = 1">>}]))},
     {"with a bad filter",
      ?_assertEqual("x-sql-filter is not a valid SQL filter: it ends too early",
                    refusal([{<<"x-sql-filter">>, longstr, <<"a = ">>}]))},
     {"with format directives in a bad filter",
      ?_assertMatch("x-sql-filter is not a valid SQL filter: " ++ _,
                    refusal([{<<"x-sql-filter">>, longstr, <<"~s ~p ~n">>}]))},
     {"with a filter that is no text",
      ?_assertEqual("x-sql-filter must be a string, not of type signedint",
                    refusal([{<<"x-sql-filter">>, signedint, 1}]))}].

%% Against the table RabbitMQ itself keeps its bindings in.
route_test_() ->
    {setup,
     fun() ->
             ets:new(rabbit_khepri_binding, [named_table, public, ordered_set, {keypos, #route.binding}]),
             bind(<<"all">>, []),
             bind(<<"cheap">>, [{<<"x-sql-filter">>, longstr, <<"price < 10">>}]),
             bind(<<"dear">>, [{<<"x-sql-filter">>, longstr, <<"price >= 10">>}]),
             bind(<<"overflows">>, [{<<"x-sql-filter">>, longstr, <<"price * 1.0E308 * 10.0 > 1">>}]),
             bind(<<"broken">>, [{<<"x-sql-filter">>, longstr, <<"not a filter">>}]),
             bind(<<"no text">>, [{<<"x-sql-filter">>, bool, true}])
     end,
     fun(_) -> ets:delete(rabbit_khepri_binding) end,
     [{"each filter decides for its own binding, and none disturbs another",
       [?_assertEqual([<<"all">>, <<"cheap">>], route([{<<"price">>, {int, 9}}])),
        ?_assertEqual([<<"all">>, <<"dear">>], route([{<<"price">>, {int, 10}}])),
        ?_assertEqual([<<"all">>], route([{<<"price">>, {utf8, <<"10">>}}])),
        ?_assertEqual([<<"all">>], route([]))]}]}.

description_test() ->
    ?assertEqual(<<"x-sql">>, proplists:get_value(name, rabbit_exchange_type_sql:description())).

bind(Queue, Args) ->
    #exchange{name = Source} = ?EXCHANGE,
    ets:insert(rabbit_khepri_binding,
               #route{binding = #binding{source = Source, key = <<>>, args = Args,
                                         destination = rabbit_misc:r(<<"vhost">>, queue, Queue)}}).

route(ApplicationProperties) ->
    lists:sort([Name || #resource{name = Name} <- rabbit_exchange_type_sql:route(
                                                    ?EXCHANGE, amqp(ApplicationProperties), #{})]).

validate(Args) -> rabbit_exchange_type_sql:validate_binding(?EXCHANGE, #binding{args = Args}).

refusal(Args) ->
    {error, {binding_invalid, Format, Values}} = validate(Args),
    lists:flatten(io_lib:format(Format, Values)).
