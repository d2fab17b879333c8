%% Whether the cluster can spare what is on the disk of one of its nodes: asked by that node, which does not run.
-module(rabbit_entente_spare).

-export([judge/1, decide/4]).

-define(APART, 500).

%% `{kept, Why}': something may be on that disk and nowhere else, or this cannot be told.
-spec judge(node()) -> ok | {kept, string()}.
judge(Node) ->
    Others = rabbit_nodes:list_members() -- [Node],
    case standing(Node) of
        {ok, Critical} ->
            Alone = [Name || {Name, [Only]} <- rabbit_entente_queues:on_disks(), Only =:= Node],
            flat(decide(Others, Others -- rabbit_nodes:list_running(), Alone, Critical));
        not_served ->
            {kept, "another node runs an older version"}
    end.

%% Twice, and some time apart: in sync is who has by then what was committed before.
standing(Node) ->
    maybe
        {ok, Before, _} ?= rabbit_entente_members:all(),
        ok = timer:sleep(?APART),
        {ok, Now, _} ?= rabbit_entente_members:all(),
        {ok, [Name || #{name := Name} <- rabbit_entente_members:critical(Now, rabbit_entente_members:goals(Before), Node)]}
    end.

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
