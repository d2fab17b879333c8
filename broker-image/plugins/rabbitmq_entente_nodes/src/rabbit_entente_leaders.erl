%% Hands leaders over, a few at a time.
-module(rabbit_entente_leaders).

-export([move/1, away/3]).

-define(TIMEOUT, 8_000).

%% Returns those that were not moved, and why.
-spec move([{rabbit_types:r(queue), node()}]) -> [{rabbit_types:r(queue), term()}].
move(Moves) -> rabbit_entente_tasks:run([{Name, fun() -> move(Name, To) end} || {Name, To} <- Moves], ?TIMEOUT).

move(Name, To) ->
    case rabbit_amqqueue:lookup(Name) of
        {ok, Queue} ->
            case rabbit_quorum_queue:transfer_leadership(Queue, To) of
                {ok, To} -> ok;
                {ok, Other} -> {error, {led_by, Other}};
                {error, already_leader} -> ok;
                {error, _} = Error -> Error;
                Other -> {error, Other}
            end;
        {error, _} = Error ->
            Error
    end.

%% Where leaders of a node go: to members in sync, in turn to the node that leads least.
-spec away([rabbit_entente_members:queue()], #{rabbit_types:r(queue) => integer()}, node()) -> [{rabbit_types:r(queue), node()}].
away(Queues, Goals, Node) ->
    Leads = lists:foldl(fun(#{leader := Leader}, Counts) -> count(Leader, Counts) end, #{}, Queues),
    Led = [Queue || #{leader := Leader} = Queue <- Queues, Leader =:= Node],
    {Moves, _} = lists:foldl(
                   fun(#{name := Name} = Queue, {Moves, Counts}) ->
                           case lists:delete(Node, rabbit_entente_members:in_sync(Queue, Goals)) of
                               [] -> {Moves, Counts};
                               Others ->
                                   {_, To} = lists:min([{maps:get(Other, Counts, 0), Other} || Other <- Others]),
                                   {[{Name, To} | Moves], count(To, Counts)}
                           end
                   end, {[], Leads}, Led),
    lists:reverse(Moves).

count(Node, Counts) -> maps:update_with(Node, fun(Count) -> Count + 1 end, 1, Counts).
