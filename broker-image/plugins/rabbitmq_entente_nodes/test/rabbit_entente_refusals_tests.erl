-module(rabbit_entente_refusals_tests).

-include("../../check.hrl").

-define(SEND, {<<"shop.web.1">>, <<"shop">>, exchange, <<"contract.orders.v1.placed">>, write}).

with_table(Test) ->
    {setup, fun() -> ets:new(rabbit_entente_refusals, [named_table, public]) end, fun ets:delete/1, Test}.

drained() ->
    Self = self(),
    rabbit_entente_refusals:drain(fun(Refused, Count) -> Self ! {Refused, Count} end),
    received().

received() ->
    receive {_, _} = One -> [One | received()] after 0 -> [] end.

counted_test_() ->
    with_table(fun() ->
                       [rabbit_entente_refusals:note(?SEND) || _ <- lists:seq(1, 3)],
                       rabbit_entente_refusals:note(setelement(1, ?SEND, <<"shop.web.2">>)),
                       ?assertEqual([{?SEND, 3}, {setelement(1, ?SEND, <<"shop.web.2">>), 1}], lists:sort(drained())),
                       ?assertEqual([], drained())
               end).

%% Names come from clients: they must not fill the memory.
bounded_test_() ->
    with_table(fun() ->
                       [rabbit_entente_refusals:note(setelement(4, ?SEND, integer_to_binary(N))) || N <- lists:seq(1, 10_100)],
                       rabbit_entente_refusals:note(setelement(4, ?SEND, <<"1">>)),
                       Told = drained(),
                       ?assertEqual(10_000, length(Told)),
                       ?assert(lists:member({setelement(4, ?SEND, <<"1">>), 2}, Told))
               end).

%% A refusal must stay one while the plugin starts.
without_table_test() -> ?assertEqual(ok, rabbit_entente_refusals:note(?SEND)).
