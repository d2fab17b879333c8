%% What a node does before it stops. The entrypoint calls it on SIGTERM, so it works for whatever stops the pod: the operator, a drain of the
%% machine, a hand. No operator is needed.
%%
%% Expected flow: wait, for a bounded time, until every queue keeps a majority without this node; hand leaders over to members that are in sync,
%% which costs clients no election; close connections in waves; then RabbitMQ's own maintenance mode for what is left.
-module(rabbit_entente_leave).

-export([run/1]).

-define(INTERVAL, 500).
-define(CLOSING, 2_000).
-define(DRAINING, 5_000).

%% `Wait': milliseconds for which members of other nodes are waited for.
-spec run(non_neg_integer()) -> ok.
run(Wait) ->
    End = erlang:monotonic_time(millisecond) + Wait,
    case rabbit_entente_members:all() of
        {ok, Before, _} ->
            timer:sleep(?INTERVAL),
            await(rabbit_entente_members:goals(Before), End);
        not_served ->
            say("another node cannot tell how members stand; this one stops without waiting for them")
    end,
    drain().

%% Without a majority of nodes it would wait for one: it writes to the metadata store first.
drain() ->
    case length(rabbit_nodes:list_running()) > length(rabbit_nodes:list_members()) div 2 of
        true ->
            {Pid, Monitor} = spawn_monitor(fun rabbit_maintenance:drain/0),
            receive {'DOWN', Monitor, process, Pid, _} -> ok
            after ?DRAINING -> say("maintenance mode takes too long; stopping without it")
            end;
        false ->
            say("no majority of nodes runs: there is nobody to hand over to")
    end,
    ok.

await(Goals, End) ->
    case rabbit_entente_members:all() of
        {ok, Queues, _} ->
            case {rabbit_entente_members:critical(Queues, Goals, node()), erlang:monotonic_time(millisecond) < End} of
                {[], _} ->
                    leave(Queues, Goals);
                {[_ | _] = Critical, true} ->
                    case is_worth_waiting() of
                        true ->
                            timer:sleep(?INTERVAL),
                            await(Goals, End);
                        false ->
                            say("~b queues have no majority without this node, and the others are going too", [length(Critical)]),
                            leave(Queues, Goals)
                    end;
                {Critical, false} ->
                    say("~b queues have no majority without this node; it was waited for long enough", [length(Critical)]),
                    leave(Queues, Goals)
            end;
        not_served ->
            ok
    end.

leave(Queues, Goals) ->
    Moves = rabbit_entente_leaders:away(Queues, Goals, node()),
    Failed = rabbit_entente_leaders:move(Moves),
    say("handed over ~b queues, ~b not", [length(Moves) - length(Failed), length(Failed)]),
    rabbit_entente_connections:close_all_within(?CLOSING).

%% Where no majority of the others runs or means to go on, no member will catch up.
is_worth_waiting() ->
    Others = rabbit_nodes:list_members() -- [node()],
    Running = rabbit_maintenance:filter_out_drained_nodes_local_read(rabbit_nodes:list_running() -- [node()]),
    length(Running) >= (length(Others) + 1) div 2 + 1.

say(Text) -> say(Text, []).
say(Format, Arguments) -> io:format("entente: " ++ Format ++ "~n", Arguments).
