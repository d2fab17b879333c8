-module(entente_epmd_tests).

-include("../../check.hrl").

states_test_() ->
    {setup,
     fun() ->
             {ok, Listen} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}}]),
             {ok, Port} = inet:port(Listen),
             os:putenv("ERL_EPMD_PORT", integer_to_list(Port)),
             Listen
     end,
     fun(Listen) ->
             gen_tcp:close(Listen),
             os:unsetenv("ERL_EPMD_PORT")
     end,
     fun(Listen) ->
             [?_assertEqual(up, state(Listen, "name rabbit at port 25672\n")),
              ?_assertEqual(up, state(Listen, "name rabbitmqcli-1-rabbit at port 35672\nname rabbit at port 25672\n")),
              ?_assertEqual(blank, state(Listen, "name rabbit at port 25672\nname entente-blank at port 1\n")),
              ?_assertEqual({unknown, "RabbitMQ is not running"}, state(Listen, "")),
              ?_assertEqual({unknown, "RabbitMQ is not running"}, state(Listen, "name rabbit2 at port 25672\n")),
              {"nobody there", ?_assertEqual([{1, {unknown, "connection refused"}}],
                                             entente_epmd:states([{1, "127.0.0.2"}]))},
              {"a name that does not exist", ?_assertMatch([{1, {unknown, _}}], entente_epmd:states([{1, "no.invalid"}]))}]
     end}.

state(Listen, Names) ->
    spawn(fun() ->
                  {ok, Socket} = gen_tcp:accept(Listen),
                  {ok, <<1:16, $n>>} = gen_tcp:recv(Socket, 3),
                  ok = gen_tcp:send(Socket, [<<4369:32>>, Names]),
                  gen_tcp:close(Socket)
          end),
    [{7, State}] = entente_epmd:states([{7, "127.0.0.1"}]),
    State.
