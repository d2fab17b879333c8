%% The part of eunit.hrl that the tests use. Debian's erlang-eunit comes without that file.
-include_lib("stdlib/include/assert.hrl").

-compile({parse_transform, eunit_autoexport}).

-define(_test(Expression), {?LINE, fun() -> (Expression) end}).
-define(_assert(Expression), ?_test(?assert(Expression))).
-define(_assertNot(Expression), ?_test(?assertNot(Expression))).
-define(_assertEqual(Expected, Expression), ?_test(?assertEqual(Expected, Expression))).
-define(_assertMatch(Pattern, Expression), ?_test(?assertMatch(Pattern, Expression))).
