%% Goes on with what one node has, when the data of others is gone for good.
%%
%% The metadata and each queue wait for a majority of their members, for ever if need be: a node that is dead cannot be told from one that is
%% cut off and serves others. A person can tell, and names the nodes whose data is gone, on the node that is to go on (`entente-accept-loss`).
%% What a majority without this node has acknowledged is lost.
%%
%% Guarantee: nothing is given up that still runs, and no queue goes on here with less than another running node has of it.
-module(rabbit_entente_survivor).

-export([accept_loss/1, metadata/4, queue/3]).

-include_lib("kernel/include/logger.hrl").
-include_lib("rabbit_common/include/rabbit.hrl").

-type verdict() :: keep | shrink | {refused, iolist()}.

%% `Names': of pods, such as `main-broker-1'. Prints what it does; each step is in the log of this node, too.
-spec accept_loss([string()]) -> done | refused.
accept_loss(Names) ->
    Members = rabbit_nodes:list_members(),
    Running = lists:usort([node() | rabbit_nodes:list_running()]),
    %% A name that is not known is of one that has been forgotten already; one that is misspelled leaves a node that is silent.
    Lost = [Node || Node <- Members, lists:member(pod(Node), Names)],
    case metadata(node(), Members, Running, Lost) of
        {refused, Why} -> refuse(Why);
        Metadata -> accept(Metadata, Running)
    end.

%% Whether the metadata goes on by itself, or with this node alone.
-spec metadata(Self :: node(), Members :: [node()], Running :: [node()], Lost :: [node()]) -> verdict().
metadata(Self, Members, Running, Lost) ->
    {Here, Away} = lists:partition(fun(Node) -> lists:member(Node, Running) end, Members),
    case {[Node || Node <- Lost, lists:member(Node, Here)], Away -- Lost} of
        {[Alive | _], _} ->
            {refused, [atom_to_list(Alive), " runs: nothing that it has is lost"]};
        {[], [Node | _]} ->
            {refused, [atom_to_list(Node), " does not run either: start it, or name it if its data is gone as well"]};
        {[], []} when 2 * length(Here) > length(Members) ->
            keep;
        {[], []} when Here =:= [Self] ->
            shrink;
        {[], []} ->
            {refused, ["without a majority only one node can go on, and these run: ", lists:join(", ", [atom_to_list(Node) || Node <- Here])]}
    end.

accept(Metadata, Running) ->
    go_on_alone(Metadata),
    case rabbit:is_running() of
        true ->
            queues(Metadata, Running);
        false ->
            say("RabbitMQ goes on starting here; run this again when it has, for the queues", []),
            done
    end.

go_on_alone(keep) -> ok;
go_on_alone(shrink) ->
    say("the metadata goes on with ~ts alone", [node()]),
    ok = rabbit_khepri:force_shrink_member_to_current_member().

queues(Metadata, Running) ->
    Streams = coordinator(Running),
    {ok, Queues, _} = rabbit_entente_members:all(),
    Verdicts = [{Name, queue(node(), Queue, Running)} || #{name := Name} = Queue <- Queues],
    lists:foreach(fun({Name, Verdict}) -> go_on(Name, Verdict) end, Verdicts),
    case [Verdict || Verdict <- [Metadata, Streams | [Verdict || {_, Verdict} <- Verdicts]], Verdict =/= keep] of
        [] -> refuse("nothing here has lost its majority");
        _ -> done
    end.

%% What makes, moves and deletes streams is a Raft cluster of its own. Without it every change of a stream waits for ever, and the deletion of a
%% virtual host that has one as well. It takes in the other nodes by itself.
coordinator(Running) ->
    Server = {rabbit_stream_coordinator, node()},
    case ra:members({local, Server}) of
        {ok, Members, _} -> coordinator(Server, [Node || {_, Node} <- Members], Running);
        _ -> keep % there has never been a stream, or this node has no part in it
    end.

%% A node that runs has started its member, if it has the data of one: that is a step of RabbitMQ's start.
coordinator(Server, Members, Running) ->
    Alive = [Node || Node <- Members, lists:member(Node, Running), has_process(Node, element(1, Server))],
    case {2 * length(Alive) > length(Members), Alive} of
        {true, _} ->
            keep;
        {false, [Self]} when Self =:= node() ->
            say("the coordinator of streams goes on with ~ts alone", [Self]),
            ok = ra_server_proc:force_shrink_members_to_current_member(Server),
            shrink;
        {false, _} ->
            keep
    end.

has_process(Node, Name) -> is_pid(erpc:call(Node, erlang, whereis, [Name], 5_000)).

%% Whether a queue goes on by itself, or with the member of this node alone.
-spec queue(Self :: node(), rabbit_entente_members:queue(), Running :: [node()]) -> verdict().
queue(Self, #{members := Members}, Running) ->
    {Alive, Silent} = lists:partition(fun({Node, #{runs := Runs}}) -> Runs andalso lists:member(Node, Running) end, Members),
    %% It has not started yet, or its node was too slow to tell of it.
    Late = [Node || {Node, _} <- Silent, lists:member(Node, Running)],
    case {2 * length(Alive) > length(Members), Late, lists:keyfind(Self, 1, Alive)} of
        {true, _, _} ->
            keep;
        {false, [Node | _], _} ->
            {refused, ["the member on ", atom_to_list(Node), " does not run, and its node does: nothing that it has is lost"]};
        {false, [], false} ->
            {refused, "no member of it runs here"};
        {false, [], {Self, #{written := Has}}} ->
            case [Node || {Node, #{written := More}} <- Alive, More > Has] of
                [] -> shrink;
                [Node | _] -> {refused, [atom_to_list(Node), " has more of it: do this there"]}
            end
    end.

go_on(_, keep) -> ok;
go_on(Name, {refused, Why}) -> say("~ts is left as it is: ~ts", [rabbit_misc:rs(Name), Why]);
go_on(#resource{virtual_host = VirtualHost, name = Queue} = Name, shrink) ->
    say("~ts goes on with what ~ts has of it", [rabbit_misc:rs(Name), node()]),
    ok = rabbit_quorum_queue:force_shrink_member_to_current_member(VirtualHost, Queue).

pod(Node) -> hd(string:split(tl(string:find(atom_to_list(Node), "@")), ".")).

refuse(Why) ->
    say("refused: ~ts", [Why]),
    refused.

say(Format, Arguments) ->
    Text = io_lib:format(Format, Arguments),
    ?LOG_WARNING("Loss accepted by hand: ~ts", [Text]),
    io:format("entente: ~ts~n", [Text]).
