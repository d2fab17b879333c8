%% Does something to many queues, some at a time and within a bounded time.
-module(rabbit_entente_tasks).

-export([run/2]).

-define(AT_ONCE, 10).

-type task() :: {rabbit_types:r(queue), fun(() -> ok | {error, term()})}.

%% Returns those that failed or were not done in time (milliseconds, for all of them), and why.
-spec run([task()], pos_integer()) -> [{rabbit_types:r(queue), term()}].
run(Tasks, Time) ->
    End = erlang:monotonic_time(millisecond) + Time,
    lists:append([chunk(Chunk, End) || Chunk <- chunks(Tasks)]).

chunks([]) -> [];
chunks(Tasks) ->
    {Chunk, Rest} = lists:split(min(?AT_ONCE, length(Tasks)), Tasks),
    [Chunk | chunks(Rest)].

chunk(Tasks, End) ->
    Workers = [{Name, spawn_monitor(fun() -> exit({outcome, Task()}) end)} || {Name, Task} <- Tasks],
    lists:append([outcome(Name, Worker, End) || {Name, Worker} <- Workers]).

outcome(Name, {Pid, Monitor}, End) ->
    Left = max(0, End - erlang:monotonic_time(millisecond)),
    receive
        {'DOWN', Monitor, process, Pid, {outcome, ok}} -> [];
        {'DOWN', Monitor, process, Pid, {outcome, {error, Reason}}} -> [{Name, Reason}];
        {'DOWN', Monitor, process, Pid, Reason} -> [{Name, Reason}]
    after Left ->
        exit(Pid, kill),
        erlang:demonitor(Monitor, [flush]),
        [{Name, timeout}]
    end.
