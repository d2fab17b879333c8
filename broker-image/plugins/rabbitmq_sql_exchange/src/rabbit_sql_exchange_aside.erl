%% Runs a function in a short-lived process of its own.
%%
%% For functions that leave much garbage behind: with many bindings, routing one message copies hundreds of kilobytes out
%% of tables. In the sender's process, which lives long, that would be collected in the middle of each message and the heap
%% stay large; a process that ends with its function collects nothing.
-module(rabbit_sql_exchange_aside).

-export([run/2]).

%% As much as one sender may take for the moment, 8 MiB. Who needs more collects.
-define(MAX_WORDS, 1_000_000).
%% Only when the caller is killed between two lines.
-define(UNASKED_MS, 5_000).

%% The result of Fun, for which a heap of so many words is at hand.
-spec run(Words :: pos_integer(), fun(() -> Result)) -> Result.
run(Words, Fun) ->
    Pid = spawn_opt(fun() -> work(Fun) end, [{min_heap_size, min(Words, ?MAX_WORDS)}]),
    %% Made here and nowhere else, so that the compiler sees that no message of before can be meant: a sender's queue may be long.
    Ref = monitor(process, Pid, [{alias, reply_demonitor}]),
    Pid ! {work, Ref},
    receive
        {Ref, Result} -> Result;
        %% Somebody killed it.
        {'DOWN', Ref, process, _, _} -> Fun()
    end.

work(Fun) ->
    receive
        {work, Ref} -> Ref ! {Ref, Fun()}
    after ?UNASKED_MS -> ok
    end.
