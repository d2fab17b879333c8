%% How the members of all quorum queues stand, asked of each node once.
%%
%% RabbitMQ's own page of a queue asks every member of that one queue, which does not do for a thousand of them.
-module(rabbit_entente_members).

-export([all/0, local/0, metrics/1, table/2, lives/1, goals/1, in_sync/2, critical/3, change/1]).

-export_type([queue/0, metrics/0]).

-define(TIMEOUT, 5_000).
-define(CHANGE_TIMEOUT, 10_000).

-type metrics() :: #{runs := boolean(), votes := boolean(), leads := boolean(), term := integer(), written := integer(), committed := integer()}.
-type queue() :: #{name := rabbit_types:r(queue), leader := node() | undefined, members := [{node(), metrics()}]}.
-type answer() :: #{members := #{atom() => metrics()}, connections := non_neg_integer()}.

%% `not_served': a node runs that does not have this plugin yet.
-spec all() -> {ok, [queue()], #{node() => non_neg_integer()}} | not_served.
all() ->
    Nodes = rabbit_nodes:list_running(),
    Answers = lists:zip(Nodes, erpc:multicall(Nodes, ?MODULE, local, [], ?TIMEOUT)),
    case [Node || {Node, {error, {exception, undef, _}}} <- Answers] of
        [] ->
            Told = #{Node => Answer || {Node, {ok, Answer}} <- Answers},
            Queues = [{amqqueue:get_name(Q), element(1, amqqueue:get_pid(Q)), rabbit_quorum_queue:get_replicas(Q)}
                      || Q <- rabbit_amqqueue:list_by_type(rabbit_quorum_queue)],
            Connections = #{Node => Count || Node := #{connections := Count} <- Told},
            {ok, [table(Queue, Told) || Queue <- Queues], Connections};
        _ ->
            not_served
    end.

%% Members that run on this node, and connections of clients.
-spec local() -> answer().
local() ->
    Running = [Name || {Name, _, _} <- ets:tab2list(ra_state), is_pid(whereis(Name))],
    #{members => #{Name => metrics(ra:key_metrics({Name, node()})) || Name <- Running},
      connections => length(rabbit_networking:local_connections())}.

%% As Ra tells it. What a snapshot holds is on the disk too: a member that got its state by one writes no entry until the next comes, and a queue
%% at rest would count as behind for ever.
-spec metrics(map()) -> metrics().
metrics(#{state := State} = Metrics) ->
    #{runs => true,
      votes => maps:get(membership, Metrics, unknown) =:= voter andalso lists:member(State, [leader, follower]),
      leads => State =:= leader,
      term => number(term, Metrics),
      written => max(number(last_written_index, Metrics), number(snapshot_index, Metrics)),
      committed => number(commit_index, Metrics)}.

number(Key, Metrics) ->
    case Metrics of
        #{Key := Number} when is_integer(Number) -> Number;
        _ -> 0
    end.

%% One queue. A member of which nobody tells does not run.
-spec table({rabbit_types:r(queue), atom(), [node()]}, #{node() => answer()}) -> queue().
table({Name, RaName, Nodes}, Told) ->
    Members = [{Node, member(RaName, maps:get(Node, Told, #{members => #{}}))} || Node <- lists:sort(Nodes)],
    %% After an election the old leader may not know yet.
    Leaders = lists:sort([{Term, Node} || {Node, #{leads := true, term := Term}} <- Members]),
    Leader = case Leaders of
                 [] -> undefined;
                 _ -> element(2, lists:last(Leaders))
             end,
    #{name => Name, leader => Leader, members => Members}.

member(RaName, #{members := Members}) ->
    maps:get(RaName, Members, #{runs => false, votes => false, leads => false, term => 0, written => 0, committed => 0}).

%% Whether anything of it is left. One of which nothing is has nothing to lose.
-spec lives(queue()) -> boolean().
lives(#{members := Members}) -> lists:any(fun({_, #{runs := Runs}}) -> Runs end, Members).

%% What a member must have on its disk later to count as in sync.
-spec goals([queue()]) -> #{rabbit_types:r(queue) => integer()}.
goals(Queues) ->
    #{Name => lists:max([0 | [Committed || {_, #{committed := Committed}} <- Members]])
      || #{name := Name, members := Members} <- Queues}.

-spec in_sync(queue(), #{rabbit_types:r(queue) => integer()}) -> [node()].
in_sync(#{leader := undefined}, _Goals) -> [];
in_sync(#{name := Name, members := Members}, Goals) ->
    Goal = maps:get(Name, Goals, 0),
    [Node || {Node, #{votes := true, written := Written}} <- Members, Written >= Goal].

%% Queues that have a member on this node and would have no majority in sync without it.
-spec critical([queue()], #{rabbit_types:r(queue) => integer()}, node()) -> [queue()].
critical(Queues, Goals, Node) ->
    [Queue || #{members := Members} = Queue <- Queues,
              lists:keymember(Node, 1, Members),
              lives(Queue),
              length(lists:delete(Node, in_sync(Queue, Goals))) < length(Members) div 2 + 1].

%% Adds members to queues and takes them from queues. Returns those that did not succeed, and why. A member that comes has no vote until it has
%% caught up.
-spec change([{add | remove, rabbit_types:r(queue), node()}]) -> [{rabbit_types:r(queue), term()}].
change(Changes) -> rabbit_entente_tasks:run([{Name, fun() -> change(What, Name, Node) end} || {What, Name, Node} <- Changes], ?CHANGE_TIMEOUT).

change(add, {resource, VirtualHost, queue, Name}, Node) ->
    rabbit_quorum_queue:add_member(VirtualHost, Name, Node, ?TIMEOUT);
change(remove, {resource, VirtualHost, queue, Name}, Node) ->
    rabbit_quorum_queue:delete_member(VirtualHost, Name, Node).
