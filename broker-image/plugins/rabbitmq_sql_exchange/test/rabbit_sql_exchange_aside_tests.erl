-module(rabbit_sql_exchange_aside_tests).

-include("../../check.hrl").

another_process_test() ->
    ?assertNotEqual(self(), rabbit_sql_exchange_aside:run(1_000, fun() -> self() end)).

%% The process is killed, by whomever: the caller gets its result all the same, and nothing else.
killed_test() ->
    Caller = self(),
    ?assertEqual(done, rabbit_sql_exchange_aside:run(1_000, fun() -> case self() of Caller -> done; _ -> exit(self(), kill) end end)),
    ?assertEqual([], [Message || Message = {'DOWN', _, _, _, _} <- element(2, process_info(self(), messages))]).

%% More words than there is memory for.
bounded_test() -> ?assertEqual(ok, rabbit_sql_exchange_aside:run(1 bsl 50, fun() -> ok end)).
