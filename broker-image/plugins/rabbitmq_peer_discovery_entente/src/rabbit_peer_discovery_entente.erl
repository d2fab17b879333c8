%% Peer discovery for the nodes of one StatefulSet that start in parallel.
%%
%% RabbitMQ asks a backend only when this node's metadata store is empty: a node with data just starts. What is
%% decided here is what a blank node does, see entente_formation. RabbitMQ asks again, for ever, until it is a member.
%%
%% Peers are asked by epmd alone, not by Erlang distribution: a blank node must not be connected to a cluster that
%% it may never join. Each blank node announces itself by a second name in its epmd.
-module(rabbit_peer_discovery_entente).
-behaviour(rabbit_peer_discovery_backend).

-export([init/0, list_nodes/0, supports_registration/0, register/0, unregister/0, post_registration/0,
         lock/1, unlock/1, retry_strategy/0]).

-include_lib("kernel/include/logger.hrl").

-define(DOMAIN, #{domain => [rabbitmq, peer_discovery]}).
%% Present, with the content `false', while it is known that this cluster was never formed before.
-define(FORMED_FILE, "/etc/entente/cluster/formed").
-define(ATTEMPT, {?MODULE, attempt}).

init() ->
    persistent_term:put(?ATTEMPT, 0),
    ok.

%% RabbitMQ's default is to give up and to proceed as a cluster of one.
retry_strategy() -> unlimited.

list_nodes() ->
    ok = entente_blank:announce(fun rabbit_db:is_init_finished/0),
    case peers() of
        {error, _} = Error -> Error;
        {Self, Peers} ->
            States = entente_epmd:states([{Ordinal, host(Node)} || {Ordinal, Node} <- Peers]),
            decide(Self, Peers, States)
    end.

decide(Self, Peers, States) ->
    case entente_formation:decide(Self, States, first_formation()) of
        seed ->
            ?LOG_NOTICE("Peer discovery: this node makes the cluster that the others join", [], ?DOMAIN),
            {ok, {[node()], disc}};
        {join, Candidates} ->
            %% Another one at each attempt: one that never becomes ready must not hide one that is.
            Attempt = persistent_term:get(?ATTEMPT),
            persistent_term:put(?ATTEMPT, Attempt + 1),
            Ordinal = lists:nth(Attempt rem length(Candidates) + 1, Candidates),
            {ok, {proplists:get_value(Ordinal, Peers), disc}};
        {wait, Reason} ->
            say_why(Reason),
            {error, Reason}
    end.

%% RabbitMQ logs the reason of each attempt as an error. This is no error, and once is enough.
say_why(Reason) ->
    case persistent_term:get({?MODULE, said}, undefined) of
        Reason -> ok;
        _ ->
            persistent_term:put({?MODULE, said}, Reason),
            ?LOG_WARNING("Peer discovery: ~ts", [Reason], ?DOMAIN)
    end.

peers() ->
    case {entente_formation:parse_node(atom_to_list(node())), os:getenv("ENTENTE_REPLICAS", "1")} of
        {{ok, {Prefix, Self, Domain}}, Text} ->
            try list_to_integer(Text) of
                Replicas ->
                    {Self, [{N, list_to_atom(lists:concat([Prefix, N, Domain]))}
                            || N <- lists:seq(0, Replicas - 1), N =/= Self]}
            catch
                error:badarg -> {error, "ENTENTE_REPLICAS is not a number: " ++ Text}
            end;
        {error, _} ->
            {error, "this node's name is not like rabbit@name-0.domain; set POD_NAME and ENTENTE_HEADLESS"}
    end.

host(Node) -> tl(string:find(atom_to_list(Node), "@")).

first_formation() ->
    case file:read_file(?FORMED_FILE) of
        {ok, Text} -> string:trim(Text) =:= <<"false">>;
        {error, _} -> false
    end.

%% One joins at a time: the metadata store takes one change of its members at a time, and the second joiner would
%% fail after a time-out of 30 s. Bounded, so that a joiner that died with the lock is not waited for.
lock(Nodes) ->
    Others = Nodes -- [node()],
    Id = {?MODULE, self()},
    case global:set_lock(Id, Others, 10) of
        true -> {ok, {Id, Others}};
        false -> {error, "another node is joining; trying again"}
    end.

unlock({Id, Nodes}) ->
    true = global:del_lock(Id, Nodes),
    ok.

supports_registration() -> false.
register() -> ok.
unregister() -> ok.
post_registration() -> ok.
