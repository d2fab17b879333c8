%% Whether the cluster can spare what is on the disk of one of its nodes: asked by that node, which does not run.
-module(rabbit_entente_spare).

-export([judge/1, decide/4, is_kept/1]).

-include_lib("rabbit_common/include/rabbit.hrl").

-define(APART, 500).

%% `{kept, Why}': something may be on that disk and nowhere else, or this cannot be told.
-spec judge(node()) -> ok | {kept, string()}.
judge(Node) ->
    Missing = rabbit_nodes:list_members() -- [Node | rabbit_nodes:list_running()],
    case standing(Node) of
        {ok, Critical} -> flat(decide(rabbit_nodes:list_members() -- [Node], Missing, alone(Node), Critical));
        not_served -> {kept, "another node runs an older version"}
    end.

%% Twice, and some time apart: in sync is who has by then what was committed before.
standing(Node) ->
    maybe
        {ok, Before, _} ?= rabbit_entente_members:all(),
        ok = timer:sleep(?APART),
        {ok, Now, _} ?= rabbit_entente_members:all(),
        {ok, [Name || #{name := Name} <- rabbit_entente_members:critical(Now, rabbit_entente_members:goals(Before), Node)]}
    end.

%% Queues and streams that are on that node and on no other.
alone(Node) ->
    [amqqueue:get_name(Q) || Type <- [rabbit_classic_queue, rabbit_quorum_queue, rabbit_stream_queue],
                             Q <- rabbit_amqqueue:list_by_type(Type),
                             amqqueue:is_durable(Q), is_kept(amqqueue:get_name(Q)), on(Type, Q) =:= [Node]].

%% Queues whose names begin so are Entente's own means: it makes them again, and what is in them nobody misses. That by which the operator
%% hears of events is on some node alone, always.
-spec is_kept(rabbit_types:r(queue)) -> boolean().
is_kept(#resource{name = <<"entente.", _/binary>>}) -> false;
is_kept(#resource{}) -> true.

on(rabbit_classic_queue, Q) -> [amqqueue:qnode(Q)];
on(rabbit_quorum_queue, Q) -> rabbit_quorum_queue:get_replicas(Q);
on(rabbit_stream_queue, Q) ->
    #{nodes := Nodes} = amqqueue:get_type_state(Q),
    true = is_list(Nodes),
    Nodes.

-spec decide(Others :: [node()], Missing :: [node()], Alone :: [Name], Critical :: [Name]) -> ok | {kept, iolist()}
              when Name :: rabbit_types:r(queue).
decide([], _, _, _) -> {kept, "there is no other node"};
decide(_, [Missing | _], _, _) -> {kept, io_lib:format("~ts does not run", [Missing])};
decide(_, [], [Queue | _] = Queues, _) ->
    {kept, io_lib:format("~b queues are on this node alone, one is ~ts", [length(Queues), rabbit_misc:rs(Queue)])};
decide(_, [], [], [Queue | _] = Queues) ->
    {kept, io_lib:format("~b queues have no majority in sync without this node, one is ~ts", [length(Queues), rabbit_misc:rs(Queue)])};
decide(_, [], [], []) -> ok.

flat(ok) -> ok;
flat({kept, Why}) -> {kept, lists:flatten(Why)}.
