-module(rabbit_entente_ticktime_tests).

-include("../../check.hrl").

due_test() ->
    ?assertEqual(15, rabbit_entente_ticktime:due({ok, 15}, 60)),
    ?assertEqual(15, rabbit_entente_ticktime:due({ok, 15}, {ongoing_change_to, 60})),
    ?assertEqual(none, rabbit_entente_ticktime:due({ok, 15}, 15)),
    ?assertEqual(none, rabbit_entente_ticktime:due({ok, 15}, {ongoing_change_to, 15})).

%% Nothing is configured, it cannot be used, or nodes do not speak with each other.
nothing_due_test() ->
    [?assertEqual(none, rabbit_entente_ticktime:due(Configured, 60)) || Configured <- [undefined, {ok, 0}, {ok, soon}]],
    ?assertEqual(none, rabbit_entente_ticktime:due({ok, 15}, ignored)).
