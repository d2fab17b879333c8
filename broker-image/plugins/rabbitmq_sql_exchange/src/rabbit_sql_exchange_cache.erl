%% Compiled filters by the arguments of their bindings, for all x-sql exchanges of this node.
%%
%% Expected flow: a sender's process opens the cache for a message and looks the arguments of each binding up; on a miss
%% it compiles them and stores the result. Compiling takes tens of microseconds, a look-up a fraction of one.
%%
%% Bounded: two generations, each of at most `filter_cache_size' entries and `filter_cache_bytes' bytes. When the young one
%% is full, the old one is emptied and the two change places; what is found in the old one moves to the young one. So
%% what is used stays, what is not is gone after two turns, and 100,000 rebinds leave no more behind than two
%% generations hold.
%% (persistent_term would copy less, but each change of it makes every process of the node collect its garbage.)
%%
%% Never in the way: readers touch the tables directly, and when there are none (the owner is being restarted, the
%% plugin is being disabled) the filter is compiled anew for each message: slow, but right.
-module(rabbit_sql_exchange_cache).
-behaviour(gen_server).

-export([start_link/2, open/0, lookup/2, size/0, bytes/0]).
-export_type([cache/0]).
-export([init/1, handle_call/3, handle_cast/2]).

-define(TABLES, {rabbit_sql_exchange_filters_a, rabbit_sql_exchange_filters_b}).
-define(YOUNG, rabbit_sql_exchange_young).
%% A compiled LIKE takes some times as much as its text.
-define(BYTES_PER_BYTE_OF_TEXT, 8).

-record(limits, {entries :: pos_integer(),
                 bytes :: pos_integer(),
                 %% Bytes in each of the tables, estimated.
                 used :: counters:counters_ref()}).

-opaque cache() :: {Young :: atom(), Old :: atom(), #limits{}} | none.

-spec start_link(Entries :: pos_integer(), Bytes :: pos_integer()) -> gen_server:start_ret().
start_link(Entries, Bytes) -> gen_server:start_link({local, ?MODULE}, ?MODULE, {Entries, Bytes}, []).

%% Once for each message: which of the tables is young changes rarely, and to ask for each binding would take as
%% long as the look-up itself.
-spec open() -> cache().
open() ->
    try ets:lookup_element(?YOUNG, state, 2) catch error:badarg -> none end.

-spec lookup(cache(), rabbit_framing:amqp_table()) -> rabbit_sql_exchange_binding:compiled().
lookup(none, Args) ->
    rabbit_sql_exchange_binding:compile(Args);
lookup({Young, Old, Limits}, Args) ->
    try
        %% The element alone: to copy the arguments out of the table too would take longer than to find them.
        case ets:lookup_element(Young, Args, 2, none) of
            none -> store(Young, Limits, Args, lookup_old(Old, Args));
            Compiled -> Compiled
        end
    catch
        error:badarg -> rabbit_sql_exchange_binding:compile(Args)
    end.

-spec size() -> non_neg_integer().
size() ->
    lists:sum([N || Table <- tuple_to_list(?TABLES), N <- [ets:info(Table, size)], is_integer(N)]).

%% As estimated for the bound.
-spec bytes() -> non_neg_integer().
bytes() ->
    case open() of
        {_, _, #limits{used = Used}} -> lists:sum([counters:get(Used, index(Table)) || Table <- tuple_to_list(?TABLES)]);
        none -> 0
    end.

lookup_old(Old, Args) ->
    case ets:lookup_element(Old, Args, 2, none) of
        none -> rabbit_sql_exchange_binding:compile(Args);
        Compiled -> Compiled
    end.

store(Young, Limits = #limits{used = Used}, Args, Compiled) ->
    Table = case is_full(Young, Limits) of
                true -> turn(Young);
                false -> Young
            end,
    %% Copied: the texts may be pieces of a much larger binary, a frame off the network say, which the table would
    %% keep alive.
    Entry = {copy(Args), Compiled},
    case ets:insert_new(Table, Entry) of
        true -> counters:add(Used, index(Table), bytes(Entry));
        false -> ok
    end,
    Compiled.

is_full(Table, #limits{entries = Entries, bytes = Bytes, used = Used}) ->
    counters:get(Used, index(Table)) >= Bytes orelse ets:info(Table, size) >= Entries.

bytes(Entry = {Args, _Compiled}) ->
    erts_debug:flat_size(Entry) * erlang:system_info(wordsize)
        + ?BYTES_PER_BYTE_OF_TEXT * lists:sum([byte_size(Text) || {_, _, Text} <- Args, is_binary(Text)]).

copy(Args) -> [{binary:copy(Name), Type, copy_text(Value)} || {Name, Type, Value} <- Args].

copy_text(Value) when is_binary(Value) -> binary:copy(Value);
copy_text(Value) -> Value.

%% Waits for the turn, so that a table never holds more than its limit and one entry for each process that is routing.
turn(Young) ->
    try
        gen_server:call(?MODULE, {turn, Young})
    catch
        %% The owner is gone or too slow. A sender must never fail or wait for the sake of a cache.
        exit:_ -> error(badarg)
    end.

init({Entries, Bytes}) ->
    {A, B} = ?TABLES,
    Options = [named_table, public, set, {read_concurrency, true}],
    _ = ets:new(A, Options),
    _ = ets:new(B, Options),
    _ = ets:new(?YOUNG, [named_table, protected, set, {read_concurrency, true}]),
    {ok, turned(#{young => B, old => A, limits => #limits{entries = Entries, bytes = Bytes, used = counters:new(2, [])}})}.

%% Only the first of those who found the same table full makes the turn.
handle_call({turn, Young}, _From, State = #{young := Young}) ->
    Turned = turned(State),
    {reply, maps:get(young, Turned), Turned};
handle_call({turn, _Young}, _From, State = #{young := Young}) ->
    {reply, Young, State}.

handle_cast(_Message, State) -> {noreply, State}.

turned(State = #{young := Young, old := Old, limits := Limits}) ->
    true = ets:delete_all_objects(Old),
    counters:put(Limits#limits.used, index(Old), 0),
    true = ets:insert(?YOUNG, {state, {Old, Young, Limits}}),
    State#{young := Old, old := Young}.

index(Table) when Table =:= element(1, ?TABLES) -> 1;
index(_Table) -> 2.
