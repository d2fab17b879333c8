%% Wildcards over subjects, as RabbitMQ's topic exchange has them over routing keys: words are what dots part, `*' is
%% exactly one word, `#' is any number of words, none too. The empty subject has no words.
-module(rabbit_sql_exchange_subject).

-export([parse/1, words/1, matches/2]).
-export_type([pattern/0, subject/0]).

-define(MAX_BYTES, 255).
-define(MAX_HASHES, 8).
%% Each sender would pay for splitting a longer one.
-define(MAX_SUBJECT_BYTES, 4096).

-opaque pattern() :: all | {exact, binary()} | {wildcards, [binary() | one | rest]}.
-opaque subject() :: too_long | {binary(), Words :: [binary()]}.

-spec parse(binary()) -> {ok, pattern()} | {error, Reason :: binary()}.
parse(Text) when byte_size(Text) > ?MAX_BYTES ->
    refuse("it has ~b bytes, more than ~b", [byte_size(Text), ?MAX_BYTES]);
parse(Text) ->
    Words = [word(Word) || Word <- split(Text)],
    Hashes = length([rest || rest <- Words]),
    case unicode:characters_to_binary(Text) of
        Text when Hashes > ?MAX_HASHES -> refuse("it has ~b times #, more than ~b", [Hashes, ?MAX_HASHES]);
        Text -> {ok, pattern(Words, Text)};
        _ -> {error, <<"it is not UTF-8">>}
    end.

%% What a message's subject is matched as; split once per message, not once per binding.
-spec words(binary()) -> subject().
words(Subject) when byte_size(Subject) > ?MAX_SUBJECT_BYTES -> too_long;
words(Subject) -> {Subject, split(Subject)}.

%% Fails for a subject that is too long to be split.
-spec matches(pattern(), subject()) -> boolean().
matches(all, _Subject) -> true;
matches({exact, Subject}, {Subject, _Words}) -> true;
matches({exact, _Other}, _Subject) -> false;
matches({wildcards, _Pattern}, too_long) -> error(subject_too_long);
matches({wildcards, Pattern}, {_Subject, Words}) -> match(Pattern, Words, none).

pattern([rest], _Text) -> all;
pattern(Words, Text) ->
    case lists:any(fun is_atom/1, Words) of
        %% Copied: it may be a piece of a much larger binary.
        false -> {exact, binary:copy(Text)};
        true -> {wildcards, [copy(Word) || Word <- Words]}
    end.

word(<<"*">>) -> one;
word(<<"#">>) -> rest;
word(Word) -> Word.

copy(Word) when is_binary(Word) -> binary:copy(Word);
copy(Word) -> Word.

split(<<>>) -> [];
split(Text) -> binary:split(Text, <<".">>, [global]).

%% Goes back to the last `#' only: where the words between two of them were found first is as good a place as any
%% later one. So it takes at most (words of the pattern) × (words of the subject) steps, however many `#' there are.
match([], [], _Retry) -> true;
match([rest], _Words, _Retry) -> true;
match([rest | Pattern], Words, _Retry) -> match(Pattern, Words, {Pattern, Words});
match([_ | _], [], _Retry) -> false;
match([one | Pattern], [_ | Words], Retry) -> match(Pattern, Words, Retry);
match([Word | Pattern], [Word | Words], Retry) -> match(Pattern, Words, Retry);
match(_, _, {Pattern, [_ | Words]}) -> match(Pattern, Words, {Pattern, Words});
match(_, _, _) -> false.

refuse(Format, Values) -> {error, iolist_to_binary(io_lib:format(Format, Values))}.
