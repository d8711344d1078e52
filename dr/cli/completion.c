/*
 * completion.c - `drctl completion SHELL`: what a shell completes, read from the verbs' own --help.
 *
 * Nothing is listed twice: the words behind a verb are those that its usage lines name, its options are those of
 * its text, and an option takes a value when the text shows one behind it ("--to DIR",
 * "--format text|json"). So a verb that is added is completed without a line here, and one whose help
 * is wrong is completed wrongly, which tests/completion.sh would see beside tests/man.sh.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "dr/cli/verbs.h"

enum { OPTIONS_MAX = 60, WORDS_MAX = 60, WORD_BYTES = 40, ABOUT_BYTES = 120, CHOICE_BYTES = 80 };

struct option_shape {
    char name[WORD_BYTES];      /* "--to" */
    char choices[CHOICE_BYTES]; /* "text json"; "": anything */
    char about[ABOUT_BYTES];    /* "": the text says nothing in a line of its own */
    bool value;
};

struct verb_shape {
    struct option_shape options[OPTIONS_MAX];
    size_t option_count;
    char words[WORDS_MAX][WORD_BYTES]; /* "lint", "print" */
    size_t word_count;
};

static const char shared_options[] = "-c --config --help --json -q --quiet --version --yes";

/* ---- reading the text of --help --------------------------------------------------------------- */

static size_t span_of(const char *text, const char *more)
{
    size_t len = 0;
    while ((text[len] >= 'a' && text[len] <= 'z') ||
           (text[len] != '\0' && strchr(more, text[len]) != NULL))
        len++;
    return len;
}

static void add_word(struct verb_shape *shape, const char *word, size_t len)
{
    if (len < 2 || len >= WORD_BYTES || shape->word_count == WORDS_MAX)
        return;
    for (size_t i = 0; i < shape->word_count; i++)
        if (strlen(shape->words[i]) == len && strncmp(shape->words[i], word, len) == 0)
            return;
    snprintf(shape->words[shape->word_count++], WORD_BYTES, "%.*s", (int)len, word);
}

/* The words of a line "drctl VERB word ...", "drctl VERB [word]", "drctl VERB a|b". */
static void read_words(const char *line, const char *verb, struct verb_shape *ret)
{
    char start[WORD_BYTES];
    snprintf(start, sizeof(start), "drctl %s ", verb);
    if (strncmp(line, start, strlen(start)) != 0)
        return;
    const char *at = line + strlen(start);
    at += *at == '[';
    for (;;) {
        size_t len = span_of(at, "");
        char end = at[len];
        if (len == 0 || (end != '\0' && strchr(" ]|\n", end) == NULL))
            return;
        add_word(ret, at, len);
        if (end != '|')
            return;
        at += len + 1;
    }
}

static struct option_shape *option_named(struct verb_shape *shape, const char *name, size_t len)
{
    for (size_t i = 0; i < shape->option_count; i++)
        if (strlen(shape->options[i].name) == len &&
            strncmp(shape->options[i].name, name, len) == 0)
            return &shape->options[i];
    if (len >= WORD_BYTES || shape->option_count == OPTIONS_MAX)
        return NULL;
    struct option_shape *o = &shape->options[shape->option_count++];
    snprintf(o->name, sizeof(o->name), "%.*s", (int)len, name);
    return o;
}

/* Behind the name: " DIR" and " text|json" are values, anything else is not. */
static void read_value(const char *at, struct option_shape *o)
{
    if (*at != ' ' && *at != '=')
        return;
    at++;
    size_t len = span_of(at, "|");
    if (isupper((unsigned char)*at)) {
        o->value = true;
    } else if (memchr(at, '|', len) != NULL && len < CHOICE_BYTES) {
        o->value = true;
        memcpy(o->choices, at, len);
        o->choices[len] = '\0';
        for (char *bar = o->choices; (bar = strchr(bar, '|')) != NULL;)
            *bar = ' ';
    }
}

/* "  --to DIR     the source's root becomes this directory": what stands behind two blanks. */
static void read_about(const char *line, size_t len, struct option_shape *o)
{
    const char *gap = memmem(line + 2, len - 2, "  ", 2);
    if (gap == NULL)
        return;
    size_t rest = len - (size_t)(gap - line);
    while (rest > 0 && *gap == ' ') {
        gap++;
        rest--;
    }
    snprintf(o->about, sizeof(o->about), "%.*s", (int)rest, gap);
}

static void read_options(const char *line, size_t len, struct verb_shape *ret)
{
    bool quoted = false;
    for (size_t i = 0; i + 2 < len; i++) {
        bool begins = i == 0 || strchr(" [(", line[i - 1]) != NULL;
        if (line[i] == '\'' && (quoted || begins))
            quoted = !quoted;
        if (quoted || !begins || strncmp(line + i, "--", 2) != 0 ||
            !islower((unsigned char)line[i + 2]))
            continue;
        size_t name = 2 + span_of(line + i + 2, "-");
        struct option_shape *o = option_named(ret, line + i, name);
        if (o == NULL)
            return;
        read_value(line + i + name, o);
        if (i == 2 && line[0] == ' ' && o->about[0] == '\0')
            read_about(line, len, o);
    }
}

static void read_shape(const struct cli_verb *verb, struct verb_shape *ret)
{
    *ret = (struct verb_shape){ 0 };
    for (const char *line = verb->usage; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        read_words(line, verb->name, ret);
        read_options(line, len, ret);
        line += len + (line[len] == '\n');
    }
    if (strcmp(verb->name, "help") != 0)
        return;
    for (size_t i = 0; cli_verbs[i] != NULL; i++) /* drctl help VERB */
        if (cli_verbs[i]->summary != NULL)
            add_word(ret, cli_verbs[i]->name, strlen(cli_verbs[i]->name));
}

static bool is_shown(const struct cli_verb *verb)
{
    return verb->summary != NULL || strcmp(verb->name, "help") == 0;
}

static const char *summary_of(const struct cli_verb *verb)
{
    return verb->summary != NULL ? verb->summary : "The verbs, or how to use one of them";
}

/* Between single quotes, for bash and zsh ('\'') or fish (\'). */
static void put_quoted(const char *text, const char *quote)
{
    putchar('\'');
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs(quote, stdout);
        else
            putchar(*text);
    }
    putchar('\'');
}

/* ---- bash --------------------------------------------------------------------------------------- */

static void bash_verb(const struct cli_verb *verb)
{
    struct verb_shape s;
    read_shape(verb, &s);
    printf("    %s)\n        options='", verb->name);
    for (size_t i = 0; i < s.option_count; i++)
        printf("%s ", s.options[i].name);
    printf("' words='");
    for (size_t i = 0; i < s.word_count; i++)
        printf("%s%s", i == 0 ? "" : " ", s.words[i]);
    printf("'\n        case $prev in\n");
    for (size_t i = 0; i < s.option_count; i++)
        if (s.options[i].value)
            printf("        %s) value=yes choices='%s' ;;\n", s.options[i].name,
                   s.options[i].choices);
    printf("        esac\n        ;;\n");
}

static void bash_script(void)
{
    printf("# bash completion of drctl, made by: drctl completion bash\n"
           "_drctl() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
           "    local verb='' second='' options='' words='' value='' choices='' i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in\n"
           "        -c | --config) i=$((i + 1)) ;;\n"
           "        -*) ;;\n"
           "        *) if [ -z \"$verb\" ]; then verb=${COMP_WORDS[i]}; else second=yes; fi ;;\n"
           "        esac\n"
           "    done\n"
           "    case $verb in\n"
           "    '')\n        words='");
    for (size_t i = 0; cli_verbs[i] != NULL; i++)
        if (is_shown(cli_verbs[i]))
            printf("%s ", cli_verbs[i]->name);
    printf("'\n        ;;\n");
    for (size_t i = 0; cli_verbs[i] != NULL; i++)
        if (is_shown(cli_verbs[i]))
            bash_verb(cli_verbs[i]);
    printf("    esac\n"
           "    case $prev in -c | --config) value=yes ;; esac\n"
           "    COMPREPLY=()\n"
           "    if [ -n \"$value\" ]; then\n"
           "        words=$choices\n"
           "    elif [ \"${cur:0:1}\" = - ]; then\n"
           "        words=\"$options %s\"\n"
           "    elif [ -n \"$second\" ]; then\n"
           "        words=\n"
           "    fi\n"
           "    [ -z \"$words\" ] || mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
           "}\n"
           "complete -o default -F _drctl drctl\n",
           shared_options);
}

/* ---- zsh ---------------------------------------------------------------------------------------- */

static void zsh_verb(const struct cli_verb *verb)
{
    struct verb_shape s;
    read_shape(verb, &s);
    printf("    %s)\n        options=(", verb->name);
    for (size_t i = 0; i < s.option_count; i++)
        printf("%s ", s.options[i].name);
    printf(") second=(");
    for (size_t i = 0; i < s.word_count; i++)
        printf("%s ", s.words[i]);
    printf(")\n        case $prev in\n");
    for (size_t i = 0; i < s.option_count; i++)
        if (s.options[i].value)
            printf("        %s) value=yes choices=(%s) ;;\n", s.options[i].name,
                   s.options[i].choices);
    printf("        esac\n        ;;\n");
}

static void zsh_script(void)
{
    printf("#compdef drctl\n"
           "# zsh completion of drctl, made by: drctl completion zsh\n"
           "_drctl() {\n"
           "    local verb='' value='' prev=${words[CURRENT-1]} cur=${words[CURRENT]} word\n"
           "    local -i i behind=0\n"
           "    local -a verbs options second choices\n"
           "    for ((i = 2; i < CURRENT; i++)); do\n"
           "        word=${words[i]}\n"
           "        case $word in\n"
           "        -c | --config) i+=1 ;;\n"
           "        -*) ;;\n"
           "        *) if [[ -z $verb ]]; then verb=$word; else behind+=1; fi ;;\n"
           "        esac\n"
           "    done\n"
           "    verbs=(\n");
    for (size_t i = 0; cli_verbs[i] != NULL; i++) {
        if (!is_shown(cli_verbs[i]))
            continue;
        printf("        %s:", cli_verbs[i]->name);
        put_quoted(summary_of(cli_verbs[i]), "'\\''");
        putchar('\n');
    }
    printf("    )\n    case $verb in\n");
    for (size_t i = 0; cli_verbs[i] != NULL; i++)
        if (is_shown(cli_verbs[i]))
            zsh_verb(cli_verbs[i]);
    printf("    esac\n"
           "    if [[ $prev == -c || $prev == --config ]]; then value=yes; fi\n"
           "    if [[ -n $value ]]; then\n"
           "        if ((${#choices})); then compadd -- $choices; else _files; fi\n"
           "    elif [[ $cur == -* ]]; then\n"
           "        compadd -- $options %s\n"
           "    elif [[ -z $verb ]]; then\n"
           "        _describe verb verbs\n"
           "    elif ((behind == 0 && ${#second})); then\n"
           "        compadd -- $second\n"
           "    else\n"
           "        _files\n"
           "    fi\n"
           "}\n"
           "if [[ $funcstack[1] == _drctl ]]; then _drctl \"$@\"; else compdef _drctl drctl; fi\n",
           shared_options);
}

/* ---- fish --------------------------------------------------------------------------------------- */

static void fish_verb(const struct cli_verb *verb)
{
    struct verb_shape s;
    read_shape(verb, &s);
    printf("complete -c drctl -n __drctl_no_verb -f -a %s -d ", verb->name);
    put_quoted(summary_of(verb), "\\'");
    putchar('\n');
    for (size_t i = 0; i < s.word_count; i++)
        printf("complete -c drctl -n '__drctl_at %s' -f -a %s\n", verb->name, s.words[i]);
    for (size_t i = 0; i < s.option_count; i++) {
        const struct option_shape *o = &s.options[i];
        printf("complete -c drctl -n '__drctl_verb %s' -l %s%s", verb->name, o->name + 2,
               o->value ? " -r" : "");
        if (o->choices[0] != '\0')
            printf(" -f -a '%s'", o->choices);
        if (o->about[0] != '\0') {
            fputs(" -d ", stdout);
            put_quoted(o->about, "\\'");
        }
        putchar('\n');
    }
}

static void fish_script(void)
{
    printf("# fish completion of drctl, made by: drctl completion fish\n"
           "function __drctl_words\n"
           "    set -l all (commandline -opc)\n"
           "    set -l skip 1\n"
           "    for word in $all\n"
           "        if test $skip = 1\n"
           "            set skip 0\n"
           "        else if contains -- $word -c --config\n"
           "            set skip 1\n"
           "        else if not string match -q -- '-*' $word\n"
           "            echo $word\n"
           "        end\n"
           "    end\n"
           "end\n"
           "function __drctl_no_verb\n"
           "    test (count (__drctl_words)) -eq 0\n"
           "end\n"
           "function __drctl_verb\n"
           "    set -l all (__drctl_words)\n"
           "    test (count $all) -ge 1; and test $all[1] = $argv[1]\n"
           "end\n"
           "function __drctl_at\n"
           "    set -l all (__drctl_words)\n"
           "    test (count $all) -eq 1; and test $all[1] = $argv[1]\n"
           "end\n"
           "complete -c drctl -s c -l config -r -d 'The configuration'\n"
           "complete -c drctl -l json -d 'Results as JSON, one value a line'\n"
           "complete -c drctl -l yes -d 'Ask nothing that only repeats a command'\n"
           "complete -c drctl -s q -l quiet -d 'No progress'\n"
           "complete -c drctl -l help -d 'How to use it'\n"
           "complete -c drctl -l version -d 'The version'\n");
    for (size_t i = 0; cli_verbs[i] != NULL; i++)
        if (is_shown(cli_verbs[i]))
            fish_verb(cli_verbs[i]);
}

/* ---- the verb ----------------------------------------------------------------------------------- */

static int run_completion(struct cli *cli)
{
    static const struct {
        const char *shell;
        void (*print)(void);
    } all[] = { { "bash", bash_script }, { "zsh", zsh_script }, { "fish", fish_script } };
    if (!cli_options(cli, NULL, 0, 1, 1))
        return EXIT_USAGE;
    for (size_t i = 0; i < DR_ARRAY_LEN(all); i++) {
        if (strcmp(cli->argv[1], all[i].shell) != 0)
            continue;
        all[i].print();
        return EXIT_DONE;
    }
    return cli_usage(cli, "completion bash, zsh or fish, not '%s'", cli->argv[1]);
}

const struct cli_verb verb_completion = {
    .name = "completion",
    .summary = "What a shell completes",
    .usage = "drctl completion bash|zsh|fish      What a shell completes, as a script of its own\n"
             "\n"
             "make install and the packages put them where the shells look; by hand:\n"
             "\n"
             "    drctl completion bash >~/.local/share/bash-completion/completions/drctl\n"
             "    drctl completion zsh >DIRECTORY-OF-FPATH/_drctl\n"
             "    drctl completion fish >~/.config/fish/completions/drctl.fish\n",
    .run = run_completion,
};
