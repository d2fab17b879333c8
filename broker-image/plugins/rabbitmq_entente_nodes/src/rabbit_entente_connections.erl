%% Closes connections of clients, some at a time.
-module(rabbit_entente_connections).

-export([close/1, close_all_within/1]).

-define(WAVES, 8).
%% RabbitMQ's own drain closes what is left.
-define(EXPLANATION, "This node is being restarted. Connect again: the others serve").

%% Closes so many connections of this node; it does not wait for them to end.
-spec close(non_neg_integer()) -> non_neg_integer().
close(Most) ->
    Connections = lists:sublist(rabbit_networking:local_connections(), Most),
    %% Each of its own: one whose client does not answer must not hold up the others.
    [spawn(rabbit_networking, close_connection, [Pid, ?EXPLANATION]) || Pid <- Connections],
    length(Connections).

%% Closes all, in waves over so many milliseconds: all clients at once would overwhelm the other nodes.
-spec close_all_within(non_neg_integer()) -> ok.
close_all_within(Time) ->
    Most = length(rabbit_networking:local_connections()) div ?WAVES + 1,
    waves(Most, Time div ?WAVES, ?WAVES).

waves(_Most, _Pause, 0) -> ok;
waves(Most, Pause, Left) ->
    case close(Most) of
        0 -> ok;
        _ ->
            timer:sleep(Pause),
            waves(Most, Pause, Left - 1)
    end.
