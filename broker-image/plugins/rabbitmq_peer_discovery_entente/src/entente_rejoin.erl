%% A node that lost its disk leaves the cluster and its queues before it joins again.
%%
%% Expected flow: `main/0' runs in a hidden node of its own before RabbitMQ starts with an empty disk, since from then
%% on the others would take it for the member it was: their metadata store fills the empty one, so that RabbitMQ never
%% asks whom to join, and starts its replicas anew, empty, under their old names and with their old votes. An empty
%% replica and one that lags behind would then be a majority that can elect one that lacks acknowledged messages.
%% So the others first take this node out of each queue and of the cluster, by a majority without it. It comes back as
%% a new member; its replicas have no vote until they have caught up.
%% `leave_queues/1' is for a node that had to wait for its peers after RabbitMQ had started.
-module(entente_rejoin).

-export([main/0, leave_queues/1]).


-define(TIMEOUT, 300_000).
-define(INTERVAL, 1_000).

%% Returns to the shell (status 0) when no member knows this node any more, or no member is there to be asked.
-spec main() -> no_return().
main() ->
    Node = list_to_atom(os:getenv("ENTENTE_NODE")),
    case entente_peers:of_node(Node) of
        {ok, _Self, Peers} ->
            forgotten(Node, Peers, undefined),
            halt(0);
        {error, Reason} ->
            say(Reason),
            halt(1)
    end.

forgotten(Node, Peers, Said) ->
    Up = [entente_peers:node_of(Ordinal, Peers) || {Ordinal, up} <- entente_peers:states(Peers)],
    case ask(Node, Up, []) of
        ok -> ok;
        {error, Reason} ->
            Reason =/= Said andalso say(Reason),
            timer:sleep(?INTERVAL),
            %% Asked anew who is up: a node that has just started counts as up until it has announced itself as blank.
            forgotten(Node, Peers, Reason)
    end.

ask(_Node, [], []) -> ok;
ask(_Node, [], Reasons) -> {error, lists:flatten(lists:join("; ", lists:reverse(Reasons)))};
ask(Node, [Member | Members], Reasons) ->
    case leave(Node, Member) of
        ok -> ok;
        {error, Reason} -> ask(Node, Members, [Reason | Reasons])
    end.

leave(Node, Member) ->
    try
        case call(Member, rabbit_db, is_init_finished, []) of
            true ->
                maybe
                    ok ?= leave_queues(Node, Member),
                    forget(Node, Member)
                end;
            false ->
                {error, io_lib:format("~ts is not ready", [Member])}
        end
    catch
        _:Reason -> {error, cannot_ask(Member, Reason)}
    end.

forget(Node, Member) ->
    case lists:member(Node, call(Member, rabbit_nodes, list_members, [])) of
        false ->
            ok;
        true ->
            say("this node was a member and has lost its data; it leaves the cluster to join it anew"),
            case call(Member, rabbit_db_cluster, forget_member, [Node, false]) of
                ok -> ok;
                {error, Reason} -> {error, io_lib:format("~ts cannot forget this node: ~0p", [Member, Reason])}
            end
    end.

-spec leave_queues(Member :: node()) -> ok | {error, string()}.
leave_queues(Member) ->
    try leave_queues(node(), Member) of
        ok -> ok;
        {error, Reason} -> {error, lists:flatten(Reason)}
    catch
        _:Reason -> {error, lists:flatten(cannot_ask(Member, Reason))}
    end.

%% Fails while a queue has no majority without this node: joining would then risk what it holds.
%% Twice: the first result also has failures to delete replicas here, where there are none.
leave_queues(Node, Member) ->
    case call(Member, rabbit_quorum_queue, shrink_all, [Node]) of
        [] -> ok;
        _ -> left(call(Member, rabbit_quorum_queue, shrink_all, [Node]))
    end.

%% Queues that were on this node alone do not count: there is nothing to save.
left(Results) ->
    case [Queue || {Queue, {error, _, Reason}} <- Results, Reason =/= last_node] of
        [] -> ok;
        [Queue | _] = Queues ->
            {error, io_lib:format("~b queues have no majority without this node, one is ~ts; waiting for their other nodes "
                                  "(if what those had is gone for good: entente-accept-loss, in the pod of a node that has data)",
                                  [length(Queues), element(4, Queue)])}
    end.

call(Node, Module, Function, Arguments) -> erpc:call(Node, Module, Function, Arguments, ?TIMEOUT).

cannot_ask(Member, Reason) -> io_lib:format("~ts could not be asked: ~0p", [Member, Reason]).

say(Text) -> io:format("entente: ~ts~n", [Text]).
