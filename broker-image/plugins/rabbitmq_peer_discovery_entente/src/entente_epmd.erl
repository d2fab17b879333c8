%% What the epmd of a peer says about the RabbitMQ node beside it.
-module(entente_epmd).

-export([states/1, register_name/2, blank_name/0]).

-define(PORT_OF_EPMD, 4369).
-define(TIMEOUT, 3000).
-define(NODE_NAME, "rabbit").
-define(BLANK_NAME, "entente-blank").

blank_name() -> ?BLANK_NAME.

%% All peers at once: one that drops packets must not delay what the others say.
-spec states([{Ordinal, Host :: string()}]) -> [{Ordinal, entente_formation:state()}] when Ordinal :: non_neg_integer().
states(Peers) ->
    Workers = [{Ordinal, spawn_monitor(fun() -> exit({state, state(Host)}) end)} || {Ordinal, Host} <- Peers],
    [receive
         {'DOWN', Monitor, process, Pid, {state, State}} -> {Ordinal, State};
         {'DOWN', Monitor, process, Pid, _} -> {Ordinal, {unknown, "it could not be asked"}}
     end || {Ordinal, {Pid, Monitor}} <- Workers].

state(Host) ->
    case names(Host) of
        {ok, Names} ->
            case {lists:member(?NODE_NAME, Names), lists:member(?BLANK_NAME, Names)} of
                {true, true} -> blank;
                {true, false} -> up;
                {false, _} -> {unknown, "RabbitMQ is not running"}
            end;
        {error, nxdomain} -> {unknown, "its name has no address yet"};
        {error, Reason} -> {unknown, inet:format_error(Reason)}
    end.

%% erl_epmd:names/1 would wait for minutes where packets are dropped.
names(Host) ->
    case resolve(Host) of
        {ok, Address} -> ask(Address);
        Error -> Error
    end.

resolve(Host) ->
    case inet:getaddr(Host, inet) of
        {ok, Address} -> {ok, Address};
        {error, Reason} ->
            case inet:getaddr(Host, inet6) of
                {ok, Address} -> {ok, Address};
                {error, _} -> {error, Reason}
            end
    end.

ask(Address) ->
    maybe
        {ok, Socket} ?= connect(Address),
        ok ?= gen_tcp:send(Socket, <<1:16, $n>>),
        {ok, <<_Port:32, Text/binary>>} ?= read_all(Socket, <<>>),
        {ok, [Name || <<"name ", Rest/binary>> <- binary:split(Text, <<"\n">>, [global]),
                      Name <- [hd(string:split(binary_to_list(Rest), " "))]]}
    else
        {error, _} = Error -> Error;
        _ -> {error, einval}
    end.

read_all(Socket, Before) ->
    case gen_tcp:recv(Socket, 0, ?TIMEOUT) of
        {ok, Bytes} -> read_all(Socket, <<Before/binary, Bytes/binary>>);
        {error, closed} -> {ok, Before};
        Error -> Error
    end.

%% Registers a further name with the epmd of this host, for as long as the calling process lives.
-spec register_name(string(), inet:port_number()) -> ok | {error, term()}.
register_name(Name, Port) ->
    Length = length(Name),
    %% A hidden node (72), TCP over IPv4 (0), distribution versions 6 to 5, no extra.
    Request = <<120, Port:16, 72, 0, 6:16, 5:16, Length:16, (list_to_binary(Name))/binary, 0:16>>,
    maybe
        {ok, Socket} ?= connect({127, 0, 0, 1}),
        ok ?= gen_tcp:send(Socket, <<(byte_size(Request)):16, Request/binary>>),
        {ok, <<Kind, 0, _/binary>>} ?= gen_tcp:recv(Socket, 0, ?TIMEOUT),
        true ?= lists:member(Kind, [118, 121]),
        ok
    else
        {error, _} = Error -> Error;
        _ -> {error, refused}
    end.

connect(Address) ->
    Family = case tuple_size(Address) of 4 -> inet; 8 -> inet6 end,
    gen_tcp:connect(Address, port(), [Family, binary, {active, false}], ?TIMEOUT).

port() ->
    case string:to_integer(os:getenv("ERL_EPMD_PORT", "")) of
        {Port, ""} when is_integer(Port) -> Port;
        _ -> ?PORT_OF_EPMD
    end.
