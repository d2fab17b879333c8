%% Whether a node that does not start for its files may go on without them.
%%
%% Expected flow: `main/0' runs in a hidden node of its own after RabbitMQ has failed. The others judge, see
%% `rabbit_entente_spare' of their plugin; all of them must be there. Where they say yes, the node is as one that lost its disk.
-module(entente_damage).

-export([main/0]).

-define(TIMEOUT, 60_000).

%% Returns to the shell: status 0 if it may, 1 if not or if that cannot be found out.
-spec main() -> no_return().
main() ->
    Node = list_to_atom(os:getenv("ENTENTE_NODE")),
    case entente_peers:of_node(Node) of
        {ok, _Self, Peers} -> tell(judge(Node, entente_peers:states(Peers), Peers));
        {error, Reason} -> tell({kept, Reason})
    end.

judge(Node, States, Peers) ->
    case [Ordinal || {Ordinal, State} <- States, State =/= up] of
        [] ->
            [{First, _} | _] = States,
            Member = entente_peers:node_of(First, Peers),
            try
                erpc:call(Member, rabbit_entente_spare, judge, [Node], ?TIMEOUT)
            catch
                _:Reason -> {kept, io_lib:format("~ts could not be asked: ~0p", [Member, Reason])}
            end;
        [Ordinal | _] ->
            {kept, io_lib:format("node ~b does not run", [Ordinal])}
    end.

tell(ok) ->
    say("the data of this node is damaged, and the others have all that is in it: it is given up, and the node joins them anew"),
    halt(0);
tell({kept, Why}) ->
    say(["the data of this node is damaged, and is kept: ", Why]),
    halt(1).

say(Text) -> io:format("entente: ~ts~n", [Text]).
