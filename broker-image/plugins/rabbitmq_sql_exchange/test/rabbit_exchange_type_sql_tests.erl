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

%% One binding of a queue takes the other's place over and over, each time the new one first, among so many bindings that
%% a walk through a table is interrupted: no message may see the place empty.
filter_that_changes_test_() ->
    Matching = fun(N) -> [{<<"x-sql-filter">>, longstr, <<"n <> -", (integer_to_binary(N))/binary>>}] end,
    Change = fun Change(N) ->
                     bind(rabbit_khepri_route_by_source, <<"changes">>, Matching(N + 1)),
                     unbind(rabbit_khepri_route_by_source, <<"changes">>, Matching(N)),
                     receive stop -> exit({changed, N}) after 0 -> Change(N + 1) end
             end,
    {setup,
     fun() ->
             ets:new(rabbit_khepri_route_by_source, [named_table, public, bag, {keypos, 2}]),
             [bind(rabbit_khepri_route_by_source, integer_to_binary(N), [{<<"x-sql-filter">>, longstr, <<"n < 0">>}])
              || N <- lists:seq(1, 3_000)],
             bind(rabbit_khepri_route_by_source, <<"changes">>, Matching(1))
     end,
     fun(_) -> ets:delete(rabbit_khepri_route_by_source) end,
     {timeout, 120,
      fun() ->
              {Pid, Monitor} = spawn_monitor(fun() -> Change(1) end),
              [?assertMatch([<<"changes">> | _], route(#{}, [{<<"n">>, {int, 1}}])) || _ <- lists:seq(1, 200)],
              Pid ! stop,
              receive {'DOWN', Monitor, process, Pid, {changed, Times}} -> ?assert(Times > 100) end
      end}}.

%% The first message finds out that there are many bindings, later ones are routed aside, until there are few again.
many_bindings_test_() ->
    Args = fun(N) -> [{<<"x-sql-filter">>, longstr, <<"n = ", (integer_to_binary(N))/binary>>}] end,
    {setup,
     fun() ->
             ets:new(rabbit_khepri_route_by_source, [named_table, public, bag, {keypos, 2}]),
             [bind(rabbit_khepri_route_by_source, integer_to_binary(N), Args(N)) || N <- lists:seq(1, 200)]
     end,
     fun(_) -> ets:delete(rabbit_khepri_route_by_source) end,
     fun() ->
             Messages = element(2, process_info(self(), messages)),
             Remembered = fun() -> get({rabbit_exchange_type_sql, ?EXCHANGE#exchange.name}) end,
             [?assertEqual([integer_to_binary(N)], route(#{}, [{<<"n">>, {int, N}}])) || N <- lists:seq(1, 200)],
             ?assertEqual(200, Remembered()),
             [unbind(rabbit_khepri_route_by_source, integer_to_binary(N), Args(N)) || N <- lists:seq(2, 200)],
             [?assertEqual([<<"1">>], route(#{}, [{<<"n">>, {int, 1}}])) || _ <- [1, 2]],
             ?assertEqual(undefined, Remembered()),
             ?assertEqual(Messages, element(2, process_info(self(), messages)))
     end}.

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

bind(Table, Queue, Args) -> ets:insert(Table, record(Table, Queue, Args)).

unbind(Table, Queue, Args) -> ets:delete_object(Table, record(Table, Queue, Args)).

record(Table, Queue, Args) ->
    #exchange{name = Source} = ?EXCHANGE,
    Destination = rabbit_misc:r(<<"vhost">>, queue, Queue),
    case Table of
        rabbit_khepri_binding ->
            #route{binding = #binding{source = Source, key = <<>>, args = Args, destination = Destination}};
        rabbit_khepri_route_by_source ->
            #route_by_source{source = Source, key = <<>>, args = Args, destination = Destination}
    end.

route(Properties, ApplicationProperties) ->
    lists:sort([Name || #resource{name = Name} <- rabbit_exchange_type_sql:route(
                                                    ?EXCHANGE, amqp(Properties, ApplicationProperties), #{})]).

validate(Args) -> rabbit_exchange_type_sql:validate_binding(?EXCHANGE, #binding{args = Args}).

refusal(Args) ->
    {error, {binding_invalid, Format, Values}} = validate(Args),
    lists:flatten(io_lib:format(Format, Values)).
