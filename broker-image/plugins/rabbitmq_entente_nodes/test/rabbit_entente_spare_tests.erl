-module(rabbit_entente_spare_tests).

-include("../../check.hrl").

decide_test_() ->
    Queue = {resource, <<"shop">>, queue, <<"orders">>},
    [{"all that is there is on others", ?_assertEqual(ok, decide([a, b], [], [], []))},
     {"a single node", ?_assertMatch({kept, _}, decide([], [], [], []))},
     {"another one is away", ?_assertMatch({kept, _}, decide([a, b], [b], [], []))},
     {"a classic queue", ?_assertEqual("1 queues are on this node alone, one is queue 'orders' in vhost 'shop'", why([a, b], [], [Queue], []))},
     {"a queue with a member that lags",
      ?_assertEqual("1 queues have no majority in sync without this node, one is queue 'orders' in vhost 'shop'", why([a, b], [], [], [Queue]))}].

why(Others, Missing, Alone, Critical) ->
    {kept, Why} = decide(Others, Missing, Alone, Critical),
    lists:flatten(Why).

decide(Others, Missing, Alone, Critical) -> rabbit_entente_spare:decide(Others, Missing, Alone, Critical).
