-module(rabbit_sql_exchange_app).
-behaviour(application).

-export([start/2, stop/1]).

start(_Type, _Args) ->
    ok = rabbit_sql_exchange_stats:init(),
    rabbit_sql_exchange_sup:start_link().

stop(_State) -> ok.
