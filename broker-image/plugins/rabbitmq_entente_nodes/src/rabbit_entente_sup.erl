-module(rabbit_entente_sup).
-behaviour(supervisor).

-export([start_link/0, init/1]).

start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    {ok, {#{strategy => one_for_one, intensity => 5, period => 10},
          [#{id => rabbit_entente_refusals, start => {rabbit_entente_refusals, start_link, []}}]}}.
