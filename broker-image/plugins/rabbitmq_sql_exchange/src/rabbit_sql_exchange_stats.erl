%% Counts what went wrong in routing, where the sender must not be told: a filter that could not be evaluated.
-module(rabbit_sql_exchange_stats).

-export([init/0, evaluation_failed/0, evaluation_failures/0]).

-define(KEY, {?MODULE, counter}).

%% The counter outlives the plugin's processes (a persistent term, set once per node): a restart of the plugin
%% neither resets it nor makes every process of the node collect its garbage.
-spec init() -> ok.
init() ->
    case persistent_term:get(?KEY, undefined) of
        undefined -> persistent_term:put(?KEY, counters:new(1, [write_concurrency]));
        _ -> ok
    end.

-spec evaluation_failed() -> ok.
evaluation_failed() ->
    case persistent_term:get(?KEY, undefined) of
        undefined -> ok;
        Counter -> counters:add(Counter, 1, 1)
    end.

-spec evaluation_failures() -> non_neg_integer().
evaluation_failures() ->
    case persistent_term:get(?KEY, undefined) of
        undefined -> 0;
        Counter -> counters:get(Counter, 1)
    end.
