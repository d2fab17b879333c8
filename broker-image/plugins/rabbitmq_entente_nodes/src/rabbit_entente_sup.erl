-module(rabbit_entente_sup).
-behaviour(supervisor).

-export([start_link/0, init/1]).

start_link() -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).

init([]) ->
    {ok, {#{strategy => one_for_one, intensity => 5, period => 10},
          [#{id => Module, start => {Module, start_link, []}} || Module <- [rabbit_entente_refusals, rabbit_entente_ticktime]]}}.
