%% Parsed filters by their text, for all x-sql exchanges of this node.
%%
%% Expected flow: a sender's process looks a filter up; on a miss it parses the text and stores the result. Parsing
%% takes tens of microseconds, a look-up about one.
%%
%% Bounded: two generations of at most `filter_cache_size' entries each. When the young one is full, the old one is
%% emptied and the two change places; a filter found in the old one moves to the young one. So what is used stays,
%% what is not is gone after two turns, and 100,000 rebinds leave no more behind than two generations hold.
%% (persistent_term would copy less, but each change of it makes every process of the node collect its garbage.)
%%
%% Never in the way: readers touch the tables directly, and when there are none (the owner is being restarted, the
%% plugin is being disabled) the filter is parsed anew for each message: slow, but right.
-module(rabbit_sql_exchange_cache).
-behaviour(gen_server).

-export([start_link/1, lookup/1, size/0]).
-export([init/1, handle_call/3, handle_cast/2]).

-define(TABLES, {rabbit_sql_exchange_filters_a, rabbit_sql_exchange_filters_b}).
-define(YOUNG, rabbit_sql_exchange_young).

-spec start_link(Limit :: pos_integer()) -> gen_server:start_ret().
start_link(Limit) -> gen_server:start_link({local, ?MODULE}, ?MODULE, Limit, []).

-spec lookup(Sql :: binary()) -> rabbit_sql_exchange_filter:parsed().
lookup(Sql) ->
    try
        {Young, Old, Limit} = ets:lookup_element(?YOUNG, state, 2),
        case ets:lookup(Young, Sql) of
            [{_, Parsed}] -> Parsed;
            [] -> store(Young, Limit, Sql, lookup_old(Old, Sql))
        end
    catch
        error:badarg -> rabbit_sql_exchange_filter:parse(Sql)
    end.

-spec size() -> non_neg_integer().
size() ->
    lists:sum([N || Table <- tuple_to_list(?TABLES), N <- [ets:info(Table, size)], is_integer(N)]).

lookup_old(Old, Sql) ->
    case ets:lookup(Old, Sql) of
        [{_, Parsed}] -> Parsed;
        [] -> rabbit_sql_exchange_filter:parse(Sql)
    end.

store(Young, Limit, Sql, Parsed) ->
    Target = case ets:info(Young, size) >= Limit of
                 true -> turn(Young);
                 false -> Young
             end,
    %% Copied: the text may be a piece of a much larger binary, a frame off the network say, which the table would
    %% keep alive.
    true = ets:insert(Target, {binary:copy(Sql), Parsed}),
    Parsed.

%% Waits for the turn, so that a table never holds more than its limit and one entry for each process that is routing.
turn(Young) ->
    try
        gen_server:call(?MODULE, {turn, Young})
    catch
        %% The owner is gone or too slow. A sender must never fail or wait for the sake of a cache.
        exit:_ -> error(badarg)
    end.

init(Limit) ->
    {A, B} = ?TABLES,
    Options = [named_table, public, set, {read_concurrency, true}],
    _ = ets:new(A, Options),
    _ = ets:new(B, Options),
    _ = ets:new(?YOUNG, [named_table, protected, set, {read_concurrency, true}]),
    true = ets:insert(?YOUNG, {state, {A, B, Limit}}),
    {ok, #{young => A, old => B, limit => Limit}}.

%% Only the first of those who found the same table full makes the turn.
handle_call({turn, Young}, _From, State = #{young := Young, old := Old, limit := Limit}) ->
    true = ets:delete_all_objects(Old),
    true = ets:insert(?YOUNG, {state, {Old, Young, Limit}}),
    {reply, Old, State#{young := Old, old := Young}};
handle_call({turn, _Young}, _From, State = #{young := Young}) ->
    {reply, Young, State}.

handle_cast(_Message, State) -> {noreply, State}.
