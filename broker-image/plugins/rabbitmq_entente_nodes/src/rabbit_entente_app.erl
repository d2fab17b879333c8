-module(rabbit_entente_app).
-behaviour(application).

-export([start/2, stop/1]).

start(_Type, _Args) -> rabbit_entente_sup:start_link().

stop(_State) -> ok.
