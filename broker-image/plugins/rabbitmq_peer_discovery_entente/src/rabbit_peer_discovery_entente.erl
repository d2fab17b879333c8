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
-define(INTERVAL, 500).
-define(ATTEMPT, {?MODULE, attempt}).

init() ->
    persistent_term:put(?ATTEMPT, 0),
    %% Here and not only when peers are asked for: until it is announced, others take this node for one with data.
    case rabbit_db:is_virgin_node() orelse entente_blank:is_marked() of
        true -> entente_blank:announce(fun rabbit_db:is_init_finished/0);
        false -> ok
    end.

%% RabbitMQ's default is to give up and to proceed as a cluster of one.
retry_strategy() -> unlimited.

%% Returns when there is something to do. RabbitMQ would log an error for each time that there is not.
list_nodes() ->
    ok = entente_blank:announce(fun rabbit_db:is_init_finished/0),
    case entente_peers:of_node(node()) of
        {error, _} = Error ->
            Error;
        {ok, Self, Peers} ->
            case decide(Self, Peers, entente_peers:states(Peers)) of
                wait ->
                    timer:sleep(?INTERVAL),
                    list_nodes();
                Decision ->
                    {ok, {Decision, disc}}
            end
    end.

decide(Self, Peers, States) ->
    case entente_formation:decide(Self, States, first_formation()) of
        seed ->
            ?LOG_NOTICE("Peer discovery: this node makes the cluster that the others join", [], ?DOMAIN),
            [node()];
        {join, Candidates} ->
            %% Another one at each attempt: one that never becomes ready must not hide one that is.
            Attempt = persistent_term:get(?ATTEMPT),
            persistent_term:put(?ATTEMPT, Attempt + 1),
            Ordinal = lists:nth(Attempt rem length(Candidates) + 1, Candidates),
            entente_peers:node_of(Ordinal, Peers);
        {wait, Reason} ->
            say_why(Reason),
            wait
    end.

say_why(Reason) ->
    case persistent_term:get({?MODULE, said}, undefined) of
        Reason -> ok;
        _ ->
            persistent_term:put({?MODULE, said}, Reason),
            ?LOG_WARNING("Peer discovery: ~ts", [Reason], ?DOMAIN)
    end.

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
        true -> leave_queues({Id, Others});
        false -> {error, "another node is joining; trying again"}
    end.

leave_queues({_Id, [Member]} = Lock) ->
    case entente_rejoin:leave_queues(Member) of
        ok ->
            {ok, Lock};
        {error, Reason} ->
            ok = unlock(Lock),
            {error, Reason}
    end.

unlock({Id, Nodes}) ->
    true = global:del_lock(Id, Nodes),
    ok.

supports_registration() -> false.
register() -> ok.
unregister() -> ok.
post_registration() -> ok.
