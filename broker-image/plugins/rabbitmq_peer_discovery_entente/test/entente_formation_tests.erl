-module(entente_formation_tests).

-include("../../check.hrl").

-define(DOWN, {unknown, "connection refused"}).

parse_node_test_() ->
    [?_assertEqual({ok, {"rabbit@b-broker-", 2, ".b-nodes.ns.svc.cluster.local"}},
                   entente_formation:parse_node("rabbit@b-broker-2.b-nodes.ns.svc.cluster.local")),
     ?_assertEqual({ok, {"rabbit@b-", 10, ""}}, entente_formation:parse_node("rabbit@b-10")),
     ?_assertEqual({ok, {"rabbit@a-1-b-", 0, ".x-7.y"}}, entente_formation:parse_node("rabbit@a-1-b-0.x-7.y")),
     ?_assertEqual(error, entente_formation:parse_node("rabbit@host.x-7.y"))].

decide_test_() ->
    [{"alone", ?_assertEqual(seed, decide(0, []))},
     {"node 0, all others blank", ?_assertEqual(seed, decide(0, [{1, blank}, {2, blank}]))},
     {"node 0 lost its disk", ?_assertEqual({join, [1, 2]}, decide(0, [{2, up}, {1, up}]))},
     {"node 0 lost its disk, and so did node 1", ?_assertEqual({join, [2]}, decide(0, [{1, blank}, {2, up}]))},
     {"node 0, and one that may have data", ?_assertMatch({wait, _}, decide(0, [{1, blank}, {2, ?DOWN}]))},
     {"node 0, all others down", ?_assertMatch({wait, _}, decide(0, [{1, ?DOWN}, {2, ?DOWN}]))},
     {"another node never makes a cluster", ?_assertMatch({wait, _}, decide(1, [{0, blank}, {2, blank}]))},
     {"another node joins", ?_assertEqual({join, [0]}, decide(1, [{0, up}, {2, blank}]))},
     {"another node joins, node 0 being away", ?_assertEqual({join, [2]}, decide(1, [{0, ?DOWN}, {2, up}]))}].

first_formation_test_() ->
    [?_assertEqual(seed, entente_formation:decide(0, [{1, ?DOWN}, {2, blank}], true)),
     {"a peer that is up is believed before any file",
      ?_assertEqual({join, [1]}, entente_formation:decide(0, [{1, up}, {2, ?DOWN}], true))},
     ?_assertMatch({wait, _}, entente_formation:decide(1, [{0, ?DOWN}], true))].

reasons_test_() ->
    {wait, Reason} = decide(0, [{1, blank}, {2, ?DOWN}]),
    [?_assert(string:find(Reason, "node 2 (connection refused)") =/= nomatch),
     ?_assertEqual(nomatch, string:find(Reason, "node 1"))].

decide(Self, States) -> entente_formation:decide(Self, States, false).
