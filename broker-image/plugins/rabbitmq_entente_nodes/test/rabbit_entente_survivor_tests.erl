-module(rabbit_entente_survivor_tests).

-include("../../check.hrl").

metadata(Running, Lost) -> rabbit_entente_survivor:metadata(a, [a, b, c], Running, Lost).

metadata_test_() ->
    [?_assertEqual(shrink, metadata([a], [b, c])),
     ?_assertEqual(keep, metadata([a, b], [c])),
     %% What runs is not lost, and what is silent and not named may come back.
     ?_assertMatch({refused, _}, metadata([a, b], [b, c])),
     ?_assertMatch({refused, _}, metadata([a], [b])),
     ?_assertMatch({refused, _}, metadata([a, b], [])),
     %% Two that each went on alone would be two clusters.
     ?_assertMatch({refused, _}, rabbit_entente_survivor:metadata(a, [a, b, c, d, e], [a, b], [c, d, e]))].

queue(Members) ->
    Member = fun({Node, Runs, Written}) -> {Node, #{runs => Runs, written => Written}} end,
    rabbit_entente_survivor:queue(a, #{members => lists:map(Member, Members)}, [a, b]).

queue_test_() ->
    [?_assertEqual(keep, queue([{a, true, 9}, {b, true, 9}, {c, false, 0}])),
     ?_assertEqual(shrink, queue([{a, true, 9}, {c, false, 0}, {d, false, 0}])),
     ?_assertMatch({refused, _}, queue([{b, true, 9}, {c, false, 0}, {d, false, 0}])),
     %% A node that runs has what it has, whether its member has started or not.
     ?_assertMatch({refused, _}, queue([{a, true, 9}, {b, false, 0}, {c, false, 0}])),
     ?_assertMatch({refused, _}, queue([{a, false, 0}, {c, false, 0}, {d, false, 0}])),
     %% Of two that run, the one that has more goes on.
     ?_assertEqual(shrink, queue([{a, true, 9}, {b, true, 5}, {c, false, 0}, {d, false, 0}])),
     ?_assertMatch({refused, _}, queue([{a, true, 5}, {b, true, 9}, {c, false, 0}, {d, false, 0}]))].
