-module(rabbit_sql_exchange_cache_tests).

-include("../../check.hrl").

-define(LIMIT, 100).
-define(NO_LIMIT, 1_000_000_000).

with_cache(Test) -> with_cache(?LIMIT, ?NO_LIMIT, Test).

with_cache(Entries, Bytes, Test) ->
    {setup,
     fun() ->
             {ok, Pid} = rabbit_sql_exchange_cache:start_link(Entries, Bytes),
             unlink(Pid),
             Pid
     end,
     fun(Pid) -> stop(Pid) end,
     %% eunit's limit for one test is 5 s, and a machine that builds images is a busy one.
     fun(Pid) -> {timeout, 120, ?_test(Test(Pid))} end}.

returns_what_compiling_returns_test_() ->
    with_cache(fun(_) ->
                       [begin
                            Expected = rabbit_sql_exchange_binding:compile(Args),
                            ?assertEqual(Expected, lookup(Args)),
                            ?assertEqual(Expected, lookup(Args))
                        end || Args <- [args(<<"a = 1">>), args(<<"a LIKE 'b%'">>), args(<<"not a filter">>),
                                        [{<<"x-subject-filter">>, longstr, <<"a.*">>}]]],
                       ?assertEqual(4, rabbit_sql_exchange_cache:size())
               end).

%% 100,000 rebinds, each with a filter of its own, leave two generations behind and no more; no atom at all, since
%% these stay for the life of the node and a node has a million.
bounded_test_() ->
    with_cache(fun(_) ->
                       %% First some, so that every module that takes part is loaded.
                       [lookup(filter(N)) || N <- lists:seq(1, 1_000)],
                       Memory = memory(),
                       Atoms = erlang:system_info(atom_count),
                       [lookup(filter(N)) || N <- lists:seq(1_001, 101_000)],
                       ?assert(rabbit_sql_exchange_cache:size() =< 2 * ?LIMIT),
                       ?assertEqual(Atoms, erlang:system_info(atom_count)),
                       ?assert(memory() - Memory < 2_000_000)
               end).

%% Few large filters are bounded by their bytes, and what they really take is not more than what is counted.
bounded_by_bytes_test_() ->
    with_cache(?NO_LIMIT, 4_000_000,
               fun(_) ->
                       %% Once, so that what the evaluator loads is not counted.
                       lookup(large_filter(0)),
                       Memory = memory(),
                       [begin
                            lookup(large_filter(N)),
                            ?assert(rabbit_sql_exchange_cache:bytes() < 2 * 4_100_000)
                        end || N <- lists:seq(1, 1_000)],
                       ?assert(rabbit_sql_exchange_cache:bytes() > 4_000_000),
                       ?assert(rabbit_sql_exchange_cache:size() > 100),
                       ?assert(memory() - Memory < rabbit_sql_exchange_cache:bytes())
               end).

bounded_with_many_writers_test_() ->
    with_cache(fun(_) ->
                       Writers = 8,
                       parallel(Writers, fun(W) -> [lookup(filter({W, N}))
                                                    || N <- lists:seq(1, 5_000)] end),
                       ?assert(rabbit_sql_exchange_cache:size() =< 2 * (?LIMIT + Writers))
               end).

%% What is used in each generation is never compiled again, however much else passes through.
used_entries_stay_test_() ->
    with_cache(fun(_) ->
                       Used = args(<<"used = 1">>),
                       Compiled = lookup(Used),
                       [begin
                            lookup(filter(N)),
                            N rem 50 =:= 0 andalso lookup(Used)
                        end || N <- lists:seq(1, 1_000)],
                       ?assert(is_cached(Used)),
                       ?assertNot(is_cached(filter(1))),
                       ?assertEqual(Compiled, lookup(Used))
               end).

%% The owner dies while messages are routed, and while one is: the filter is still found right, by compiling it.
without_owner_test_() ->
    with_cache(fun(Pid) ->
                       Expected = lookup(args(<<"a = 1">>)),
                       Opened = rabbit_sql_exchange_cache:open(),
                       stop(Pid),
                       ?assertEqual(Expected, lookup(args(<<"a = 1">>))),
                       ?assertEqual(Expected, rabbit_sql_exchange_cache:lookup(Opened, args(<<"a = 1">>))),
                       ?assertEqual(0, rabbit_sql_exchange_cache:size())
               end).

%% The owner hangs when its turn is due: compiled, not waited for to the death of the sender.
owner_gone_at_the_turn_test_() ->
    with_cache(fun(Pid) ->
                       [lookup(filter(N)) || N <- lists:seq(1, ?LIMIT)],
                       unregister(rabbit_sql_exchange_cache),
                       ?assertMatch({any, _}, lookup(filter(other))),
                       register(rabbit_sql_exchange_cache, Pid),
                       ?assertMatch({any, _}, lookup(filter(another))),
                       ?assertEqual(?LIMIT + 1, rabbit_sql_exchange_cache:size())
               end).

is_cached(Args) ->
    lists:any(fun(Table) -> ets:member(Table, Args) end,
              [rabbit_sql_exchange_filters_a, rabbit_sql_exchange_filters_b]).

lookup(Args) -> rabbit_sql_exchange_cache:lookup(rabbit_sql_exchange_cache:open(), Args).

args(Sql) -> [{<<"x-sql-filter">>, longstr, Sql}].

filter(Id) -> args(iolist_to_binary(io_lib:format("a = '~w'", [Id]))).

%% As much as a filter can be: a LIKE that has to be compiled.
large_filter(Id) ->
    args(iolist_to_binary(io_lib:format("a~b LIKE '_~ts%x%'", [Id, binary:copy(<<"y_">>, 2_000)]))).

memory() ->
    erlang:garbage_collect(),
    erlang:memory(total) - erlang:memory(code).

stop(Pid) ->
    Monitor = monitor(process, Pid),
    exit(Pid, kill),
    receive {'DOWN', Monitor, process, Pid, _} -> ok end.

parallel(Count, Fun) ->
    Workers = [spawn_monitor(fun() -> Fun(N) end) || N <- lists:seq(1, Count)],
    [receive {'DOWN', Monitor, process, Pid, Reason} -> ?assertEqual(normal, Reason) end || {Pid, Monitor} <- Workers].
