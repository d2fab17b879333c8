-module(rabbit_sql_exchange_cache_tests).

-include("../../check.hrl").

-define(LIMIT, 100).

with_cache(Test) ->
    {setup,
     fun() ->
             {ok, Pid} = rabbit_sql_exchange_cache:start_link(?LIMIT),
             unlink(Pid),
             Pid
     end,
     fun(Pid) -> stop(Pid) end,
     fun(Pid) -> ?_test(Test(Pid)) end}.

returns_what_parsing_returns_test_() ->
    with_cache(fun(_) ->
                       [begin
                            Expected = rabbit_sql_exchange_filter:parse(Sql),
                            ?assertEqual(Expected, rabbit_sql_exchange_cache:lookup(Sql)),
                            ?assertEqual(Expected, rabbit_sql_exchange_cache:lookup(Sql))
                        end || Sql <- [<<"a = 1">>, <<"a LIKE 'b%'">>, <<"not a filter">>]],
                       ?assertEqual(3, rabbit_sql_exchange_cache:size())
               end).

%% 100,000 rebinds, each with a filter of its own, leave two generations behind and no more.
bounded_test_() ->
    {timeout, 120,
     with_cache(fun(_) ->
                        [rabbit_sql_exchange_cache:lookup(filter(N)) || N <- lists:seq(1, 100_000)],
                        ?assert(rabbit_sql_exchange_cache:size() =< 2 * ?LIMIT)
                end)}.

bounded_with_many_writers_test_() ->
    {timeout, 120,
     with_cache(fun(_) ->
                        Writers = 8,
                        parallel(Writers, fun(W) -> [rabbit_sql_exchange_cache:lookup(filter({W, N}))
                                                     || N <- lists:seq(1, 5_000)] end),
                        ?assert(rabbit_sql_exchange_cache:size() =< 2 * (?LIMIT + Writers))
                end)}.

%% What is used in each generation is never parsed again, however much else passes through.
used_entries_stay_test_() ->
    with_cache(fun(_) ->
                       Used = <<"used = 1">>,
                       Parsed = rabbit_sql_exchange_cache:lookup(Used),
                       [begin
                            rabbit_sql_exchange_cache:lookup(filter(N)),
                            N rem 50 =:= 0 andalso rabbit_sql_exchange_cache:lookup(Used)
                        end || N <- lists:seq(1, 1_000)],
                       ?assert(is_cached(Used)),
                       ?assertNot(is_cached(filter(1))),
                       ?assertEqual(Parsed, rabbit_sql_exchange_cache:lookup(Used))
               end).

%% The owner dies while messages are routed: the filter is still found right, by parsing it.
without_owner_test_() ->
    with_cache(fun(Pid) ->
                       Expected = rabbit_sql_exchange_cache:lookup(<<"a = 1">>),
                       stop(Pid),
                       ?assertEqual(Expected, rabbit_sql_exchange_cache:lookup(<<"a = 1">>)),
                       ?assertEqual(0, rabbit_sql_exchange_cache:size())
               end).

%% The owner hangs when its turn is due: parsed, not waited for to the death of the sender.
owner_gone_at_the_turn_test_() ->
    with_cache(fun(Pid) ->
                       [rabbit_sql_exchange_cache:lookup(filter(N)) || N <- lists:seq(1, ?LIMIT)],
                       unregister(rabbit_sql_exchange_cache),
                       ?assertMatch({ok, _}, rabbit_sql_exchange_cache:lookup(filter(other))),
                       register(rabbit_sql_exchange_cache, Pid),
                       ?assertMatch({ok, _}, rabbit_sql_exchange_cache:lookup(filter(another))),
                       ?assertEqual(?LIMIT + 1, rabbit_sql_exchange_cache:size())
               end).

is_cached(Sql) ->
    lists:any(fun(Table) -> ets:member(Table, Sql) end,
              [rabbit_sql_exchange_filters_a, rabbit_sql_exchange_filters_b]).

filter(Id) -> iolist_to_binary(io_lib:format("a = '~w'", [Id])).

stop(Pid) ->
    Monitor = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, _} -> ok end.

parallel(Count, Fun) ->
    Workers = [spawn_monitor(fun() -> Fun(N) end) || N <- lists:seq(1, Count)],
    [receive {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(normal, Reason) end || {Pid, Monitor} <- Workers].
