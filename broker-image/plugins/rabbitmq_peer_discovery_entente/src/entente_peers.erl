%% The nodes of this StatefulSet.
-module(entente_peers).

-export([of_node/1, states/1, node_of/2]).

-type peers() :: [{Ordinal :: non_neg_integer(), node()}].

-spec of_node(node()) -> {ok, Self :: non_neg_integer(), peers()} | {error, string()}.
of_node(Node) ->
    case {entente_formation:parse_node(atom_to_list(Node)), string:to_integer(os:getenv("ENTENTE_REPLICAS", "1"))} of
        {{ok, {Prefix, Self, Domain}}, {Replicas, ""}} when is_integer(Replicas) ->
            {ok, Self, [{N, list_to_atom(lists:concat([Prefix, N, Domain]))}
                        || N <- lists:seq(0, Replicas - 1), N =/= Self]};
        {{ok, _}, _} -> {error, "ENTENTE_REPLICAS is not a number: " ++ os:getenv("ENTENTE_REPLICAS", "")};
        {error, _} -> {error, "this node's name is not like rabbit@name-0.domain; set POD_NAME and ENTENTE_HEADLESS"}
    end.

-spec states(peers()) -> [{non_neg_integer(), entente_formation:state()}].
states(Peers) -> entente_epmd:states([{Ordinal, tl(string:find(atom_to_list(Node), "@"))} || {Ordinal, Node} <- Peers]).

-spec node_of(non_neg_integer(), peers()) -> node().
node_of(Ordinal, Peers) -> proplists:get_value(Ordinal, Peers).
