%% Queues that somebody would miss, and the nodes that have them on their disks.
-module(rabbit_entente_queues).

-export([on_disks/0, bound/0, bound/1, is_kept/1]).

-include_lib("rabbit_common/include/rabbit.hrl").

-type place() :: {rabbit_types:r(queue), [node()]}.

-export_type([place/0]).

-spec on_disks() -> [place()].
on_disks() -> lists:append([places(Type, kept(Type)) || Type <- [rabbit_classic_queue, rabbit_quorum_queue, rabbit_stream_queue]]).

%% Queues that cannot leave their node, by node: how many, and one of them. Those of a connection end with it.
-spec bound() -> #{node() => {pos_integer(), rabbit_types:r(queue)}}.
bound() ->
    Classic = [Q || Q <- kept(rabbit_classic_queue), not amqqueue:is_exclusive(Q)],
    bound(places(rabbit_classic_queue, Classic) ++ places(rabbit_stream_queue, kept(rabbit_stream_queue))).

-spec bound([place()]) -> #{node() => {pos_integer(), rabbit_types:r(queue)}}.
bound(Places) ->
    Count = fun({Name, Node}, Bound) -> maps:update_with(Node, fun({N, First}) -> {N + 1, First} end, {1, Name}, Bound) end,
    lists:foldl(Count, #{}, [{Name, Node} || {Name, Nodes} <- Places, Node <- Nodes]).

%% Queues whose names begin so are Entente's own means: it makes them again, and what is in them nobody misses. That by which the operator
%% hears of events is on some node alone, always.
-spec is_kept(rabbit_types:r(queue)) -> boolean().
is_kept(#resource{name = <<"entente.", _/binary>>}) -> false;
is_kept(#resource{}) -> true.

kept(Type) -> [Q || Q <- rabbit_amqqueue:list_by_type(Type), amqqueue:is_durable(Q), is_kept(amqqueue:get_name(Q))].

places(Type, Queues) -> [{amqqueue:get_name(Q), on(Type, Q)} || Q <- Queues].

on(rabbit_classic_queue, Q) -> [amqqueue:qnode(Q)];
on(rabbit_quorum_queue, Q) -> rabbit_quorum_queue:get_replicas(Q);
on(rabbit_stream_queue, Q) ->
    #{nodes := Nodes} = amqqueue:get_type_state(Q),
    true = is_list(Nodes),
    Nodes.
