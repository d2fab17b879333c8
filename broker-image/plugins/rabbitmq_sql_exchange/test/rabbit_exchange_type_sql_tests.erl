-module(rabbit_exchange_type_sql_tests).

-include("../../check.hrl").
-include_lib("rabbit_common/include/rabbit.hrl").

-import(rabbit_sql_exchange_messages, [amqp/2]).

-define(EXCHANGE, #exchange{name = rabbit_misc:r(<<"vhost">>, exchange, <<"x">>), type = 'x-sql'}).

validate_binding_test_() ->
    [{"without arguments", ?_assertEqual(ok, validate([]))},
     {"with filters", ?_assertEqual(ok, validate([{<<"x-sql-filter">>, longstr, <<"a = 1">>},
                                                  {<<"x-subject-filter">>, longstr, <<"a.#">>}]))},
     {"with a bad filter",
      ?_assertEqual("x-sql-filter is not a valid SQL filter: it ends too early",
                    refusal([{<<"x-sql-filter">>, longstr, <<"a = ">>}]))},
     {"with format directives in a bad filter",
      ?_assertMatch("x-sql-filter is not a valid SQL filter: " ++ _,
                    refusal([{<<"x-sql-filter">>, longstr, <<"~s ~p ~n">>}]))}].

%% Against the tables RabbitMQ itself keeps its bindings in: the one that is read, and the one in its stead.
route_test_() ->
    [{Title,
      {setup,
       fun() -> ets:new(Table, [named_table, public, Type, {keypos, 2}]), [bind(Table, Q, Args) || {Q, Args} <- bindings()] end,
       fun(_) -> ets:delete(Table) end,
       [?_assertEqual([<<"all">>, <<"cheap">>], route(#{}, [{<<"price">>, {int, 9}}])),
        ?_assertEqual([<<"all">>, <<"dear">>], route(#{}, [{<<"price">>, {int, 10}}])),
        ?_assertEqual([<<"all">>, <<"dear">>, <<"dear orders">>, <<"orders">>],
                      route(#{subject => {utf8, <<"order.eu">>}}, [{<<"price">>, {int, 10}}])),
        ?_assertEqual([<<"all">>], route(#{}, [{<<"price">>, {utf8, <<"10">>}}])),
        ?_assertEqual([<<"all">>], route(#{}, []))]}}
     || {Title, Table, Type} <- [{"by source", rabbit_khepri_route_by_source, bag}, {"all", rabbit_khepri_binding, set}]].

without_any_table_test() -> ?assertEqual([], route(#{}, [])).

bindings() ->
    Sql = fun(Filter) -> {<<"x-sql-filter">>, longstr, Filter} end,
    Orders = {<<"x-subject-filter">>, longstr, <<"order.#">>},
    [{<<"all">>, []},
     {<<"cheap">>, [Sql(<<"price < 10">>)]},
     {<<"dear">>, [Sql(<<"price >= 10">>)]},
     {<<"orders">>, [Orders]},
     {<<"dear orders">>, [Sql(<<"price >= 10">>), Orders]},
     {<<"cheap orders">>, [Sql(<<"price < 10">>), Orders]},
     {<<"overflows">>, [Sql(<<"price * 1.0E308 * 10.0 > 1">>)]},
     {<<"broken">>, [Sql(<<"not a filter">>)]},
     {<<"no text">>, [{<<"x-sql-filter">>, bool, true}]}].

description_test() ->
    ?assertEqual(<<"x-sql">>, proplists:get_value(name, rabbit_exchange_type_sql:description())).

bind(Table, Queue, Args) ->
    #exchange{name = Source} = ?EXCHANGE,
    Destination = rabbit_misc:r(<<"vhost">>, queue, Queue),
    ets:insert(Table, case Table of
                          rabbit_khepri_binding ->
                              #route{binding = #binding{source = Source, key = <<>>, args = Args, destination = Destination}};
                          rabbit_khepri_route_by_source ->
                              #route_by_source{source = Source, key = <<>>, args = Args, destination = Destination}
                      end).

route(Properties, ApplicationProperties) ->
    lists:sort([Name || #resource{name = Name} <- rabbit_exchange_type_sql:route(
                                                    ?EXCHANGE, amqp(Properties, ApplicationProperties), #{})]).

validate(Args) -> rabbit_exchange_type_sql:validate_binding(?EXCHANGE, #binding{args = Args}).

refusal(Args) ->
    {error, {binding_invalid, Format, Values}} = validate(Args),
    lists:flatten(io_lib:format(Format, Values)).
