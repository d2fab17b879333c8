-module(rabbit_sql_exchange_sup).
-behaviour(supervisor).

-export([start_link/0, init/1]).

start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    {ok, Entries} = application:get_env(rabbitmq_sql_exchange, filter_cache_size),
    {ok, Bytes} = application:get_env(rabbitmq_sql_exchange, filter_cache_bytes),
    {ok, {#{strategy => one_for_one, intensity => 5, period => 10},
          [#{id => rabbit_sql_exchange_cache, start => {rabbit_sql_exchange_cache, start_link, [Entries, Bytes]}}]}}.
