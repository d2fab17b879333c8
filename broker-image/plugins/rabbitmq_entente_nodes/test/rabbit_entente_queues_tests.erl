-module(rabbit_entente_queues_tests).

-include("../../check.hrl").

is_kept_test_() ->
    Is = fun(Name) -> rabbit_entente_queues:is_kept({resource, <<"/">>, queue, Name}) end,
    [?_assertNot(Is(<<"entente.events">>)), ?_assertNot(Is(<<"entente.events.entente-operator-a.1">>)),
     ?_assertNot(Is(<<"entente.check.orders.placed">>)), ?_assert(Is(<<"orders">>)), ?_assert(Is(<<"entente">>)), ?_assert(Is(<<"topic.entente.dead">>))].

bound_test() ->
    Name = fun(Text) -> {resource, <<"shop">>, queue, Text} end,
    ?assertEqual(#{a => {2, Name(<<"old">>)}, b => {1, Name(<<"log">>)}},
                 rabbit_entente_queues:bound([{Name(<<"old">>), [a]}, {Name(<<"log">>), [b, a]}])).
