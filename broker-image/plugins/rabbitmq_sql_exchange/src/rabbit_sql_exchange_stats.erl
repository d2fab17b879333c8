%% Counts and tells what went wrong in routing, where the sender must not be told: a filter that could not be evaluated.
-module(rabbit_sql_exchange_stats).

-include_lib("rabbit_common/include/rabbit.hrl").
-include_lib("kernel/include/logger.hrl").

-export([init/0, evaluation_failed/4, evaluation_failures/0, log_lines/0]).

-define(KEY, {?MODULE, counters}).
-define(FAILURES, 1).
-define(LINES, 2).
%% The moment of the last line in the log.
-define(LOGGED_AT, 3).
%% One line for each message would fill the log's disk.
-define(LOG_INTERVAL_MS, 10_000).
-define(MAX_ARGUMENT_CHARACTERS, 300).

%% The counters outlive the plugin's processes (a persistent term, set once per node): a restart of the plugin
%% neither resets them nor makes every process of the node collect its garbage.
-spec init() -> ok.
init() ->
    case persistent_term:get(?KEY, undefined) of
        undefined ->
            Counters = atomics:new(3, [{signed, true}]),
            ok = atomics:put(Counters, ?LOGGED_AT, now_ms() - ?LOG_INTERVAL_MS),
            persistent_term:put(?KEY, Counters);
        _ ->
            ok
    end.

%% Never fails: it is called for a sender.
-spec evaluation_failed(rabbit_exchange:name(), rabbit_framing:amqp_table(), Class :: atom(), Reason :: term()) -> ok.
evaluation_failed(Exchange, Args, Class, Reason) ->
    case persistent_term:get(?KEY, undefined) of
        undefined ->
            ok;
        Counters ->
            Failures = atomics:add_get(Counters, ?FAILURES, 1),
            LoggedAt = atomics:get(Counters, ?LOGGED_AT),
            Now = now_ms(),
            %% Of those who come at once, one writes.
            case Now - LoggedAt >= ?LOG_INTERVAL_MS andalso atomics:compare_exchange(Counters, ?LOGGED_AT, LoggedAt, Now) of
                ok ->
                    atomics:add(Counters, ?LINES, 1),
                    log(Exchange, Args, Class, Reason, Failures);
                _ ->
                    ok
            end
    end.

-spec evaluation_failures() -> non_neg_integer().
evaluation_failures() -> read(?FAILURES).

-spec log_lines() -> non_neg_integer().
log_lines() -> read(?LINES).

read(Index) ->
    case persistent_term:get(?KEY, undefined) of
        undefined -> 0;
        Counters -> atomics:get(Counters, Index)
    end.

log(#resource{name = Name, virtual_host = VHost}, Args, Class, Reason, Failures) ->
    ?LOG_WARNING("exchange '~ts' in vhost '~ts': a filter could not be evaluated for a message, which so did not match it "
                 "(~ts:~ts; ~b times on this node so far): ~ts",
                 [Name, VHost, Class, kind(Reason), Failures,
                  string:slice(io_lib:format("~0tp", [Args]), 0, ?MAX_ARGUMENT_CHARACTERS)]).

%% Not the whole reason: it may quote the message.
kind(Reason) when is_atom(Reason) -> atom_to_list(Reason);
kind(Reason) when is_tuple(Reason), is_atom(element(1, Reason)) -> atom_to_list(element(1, Reason));
kind(_Reason) -> "other".

now_ms() -> erlang:monotonic_time(millisecond).
