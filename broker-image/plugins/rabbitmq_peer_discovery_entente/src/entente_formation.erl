%% What a blank node does about its peers: decided without looking at anything.
-module(entente_formation).

-export([parse_node/1, decide/3]).
-export_type([state/0, decision/0]).

%% `up': a RabbitMQ node runs there that is not blank: a member, or one with data that waits for others.
%% `blank': a node runs there that has no data and is no member.
%% `{unknown, Why}': nothing can be said, least of all that it has no data.
-type state() :: up | blank | {unknown, Why :: string()}.
-type decision() :: seed | {join, [Ordinal :: non_neg_integer(), ...]} | {wait, Reason :: string()}.

-spec parse_node(string()) -> {ok, {Prefix :: string(), non_neg_integer(), Domain :: string()}} | error.
parse_node(Name) ->
    case re:run(Name, "^([^@]+@[^.]*-)([0-9]+)(\\..*)?$", [{capture, all_but_first, list}]) of
        {match, [Prefix, Ordinal]} -> {ok, {Prefix, list_to_integer(Ordinal), ""}};
        {match, [Prefix, Ordinal, Domain]} -> {ok, {Prefix, list_to_integer(Ordinal), Domain}};
        nomatch -> error
    end.

%% Guarantees:
%%   - Only node 0 ever makes a cluster, and a node that lost its disk joins the cluster it was in.
%%   - Node 0 makes one only if no other node can have data: every peer says that it is blank, or it is known from
%%     elsewhere that there never was a cluster. A peer that is down may hold the only copy of what was acknowledged.
%% Caveat: node 0 without data and with a peer that never comes back waits for ever, and says what to do.
-spec decide(Self :: non_neg_integer(), [{non_neg_integer(), state()}], FirstFormation :: boolean()) -> decision().
decide(Self, States, FirstFormation) ->
    Up = [N || {N, up} <- lists:sort(States)],
    Unknown = [{N, Why} || {N, {unknown, Why}} <- lists:sort(States)],
    case {Self, Up, Unknown} of
        {_, [_ | _], _} -> {join, Up};
        {0, [], []} -> seed;
        {0, [], _} when FirstFormation -> seed;
        {0, [], _} -> {wait, waiting_for_all(Unknown)};
        {_, [], _} -> {wait, waiting_for_any(Unknown)}
    end.

waiting_for_all(Unknown) ->
    "this node has no data, and waits to hear whether these have: " ++ list(Unknown)
        ++ ". If it is certain that they have none, say so: a file /etc/entente/cluster/formed with the content 'false'".

waiting_for_any([]) -> "this node has no data, and waits for node 0 to make the cluster";
waiting_for_any(Unknown) -> "this node has no data, and waits for a member to join: " ++ list(Unknown).

list(Unknown) ->
    lists:flatten(lists:join("; ", [io_lib:format("node ~b (~ts)", [N, Why]) || {N, Why} <- Unknown])).
