#!/usr/bin/env escript
%% build.escript SOURCE_DIR OUTPUT_DIR
%%
%% Compiles the plugin in SOURCE_DIR to OUTPUT_DIR/<name>-<version>/ebin, as RabbitMQ loads it, and runs its eunit
%% tests (SOURCE_DIR/test, which go nowhere). RabbitMQ's own libraries come from ERL_LIBS.
%% No rebar, no erlang.mk: neither is in the images this builds in, and there are no dependencies to fetch.
-mode(compile).

-define(OPTIONS, [return_errors, return_warnings, report, warnings_as_errors, debug_info, deterministic]).

main([Source, Output]) ->
    [AppSrc] = filelib:wildcard(filename:join([Source, "src", "*.app.src"])),
    {ok, [{application, App, Keys}]} = file:consult(AppSrc),
    Plugin = atom_to_list(App) ++ "-" ++ proplists:get_value(vsn, Keys),
    Ebin = filename:join([Output, Plugin, "ebin"]),
    Modules = compile(filename:join(Source, "src"), Ebin),
    %% RabbitMQ looks for boot steps in the modules that this list names, and nowhere else.
    Spec = {application, App, lists:keystore(modules, 1, Keys, {modules, Modules})},
    ok = file:write_file(filename:join(Ebin, atom_to_list(App) ++ ".app"), io_lib:format("~p.~n", [Spec])),
    test(App, Source, Ebin),
    io:format("~ts: ~b modules~n", [Plugin, length(Modules)]);
main(_) ->
    io:format(standard_error, "usage: build.escript SOURCE_DIR OUTPUT_DIR~n", []),
    halt(2).

compile(From, To) ->
    ok = filelib:ensure_path(To),
    true = code:add_patha(To),
    %% Relative paths in the compiled modules: the same sources give the same bytes wherever they are built.
    lists:sort([compile_file(File, To) || File <- lists:sort(filelib:wildcard(filename:join(From, "*.erl")))]).

compile_file(File, To) ->
    case compile:file(File, [{outdir, To} | ?OPTIONS]) of
        {ok, Module, _Warnings} -> Module;
        _ -> fail("~ts does not compile", [File])
    end.

test(App, Source, Ebin) ->
    TestDir = filename:join(Source, "test"),
    case filelib:is_dir(TestDir) andalso code:which(eunit) of
        false -> ok;
        %% Debian's Erlang has it; other images may not. Their build must not fail for the lack of a test library.
        non_existing -> io:format("~ts: NOT TESTED, this Erlang has no eunit~n", [App]);
        _ ->
            Beams = filename:join(filename:dirname(filename:dirname(Ebin)), "test"),
            _ = application:load(App),
            Modules = [M || M <- compile(TestDir, Beams), lists:suffix("_tests", atom_to_list(M))],
            case eunit:test(Modules, [{print_depth, 100}]) of
                ok -> ok;
                error -> fail("tests of ~ts failed", [App])
            end
    end.

fail(Format, Args) ->
    io:format(standard_error, "build.escript: " ++ Format ++ "~n", Args),
    halt(1).
