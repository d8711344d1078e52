/*
 * ssh.c - the words of an ssh command, and what its complaints mean.
 *
 * ssh joins what stands behind the host with blanks and gives it to the login shell: quoting is ours
 * to do. Paths in its own options are split and expanded once more (%h, ${HOME}, quotes), so those
 * are quoted for its parser, and what that cannot quote is refused.
 */
#include "dr/step/ssh.h"

#include <string.h>

#include "dr/base/mem.h"

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

void ssh_quote(struct buf *out, const char *word)
{
    size_t len = strlen(word);
    size_t safe = 0;
    while (safe < len && (strchr(plain, word[safe]) != NULL || strchr("_./:@,+-", word[safe])))
        safe++;
    if (len > 0 && safe == len) {
        buf_adds(out, word);
        return;
    }
    buf_addc(out, '\'');
    for (; *word != '\0'; word++)
        if (*word == '\'')
            buf_adds(out, "'\\''");
        else
            buf_addc(out, *word);
    buf_addc(out, '\'');
}

/* Only the letters of names and addresses, and not an option. */
static enum dr_rc check_name(const char *what, const char *name, const char *more,
                             struct dr_err *err)
{
    bool good = name[0] != '\0' && name[0] != '-';
    for (const char *p = name; good && *p != '\0'; p++)
        good = strchr(plain, *p) != NULL || strchr(more, *p) != NULL;
    if (good)
        return DR_OK;
    DR_CLEANUP(buf_fini) struct buf shown = { 0 };
    text_add_printable(&shown, name, strlen(name));
    return dr_fail(err, DR_E_CONFIG, "'%s' cannot be the %s of an ssh command",
                   shown.data != NULL ? shown.data : "", what);
}

/* "-o KEY="PATH"", for the parser of ssh_config(5). */
static enum dr_rc add_path(struct text_list *argv, const char *key, const char *path,
                           struct dr_err *err)
{
    DR_CLEANUP(buf_fini) struct buf out = { 0 };
    if (path[0] != '/' || strstr(path, "${") != NULL || strpbrk(path, "\"\\\r\n") != NULL)
        return dr_fail(err, DR_E_CONFIG,
                       "the path for %s of an ssh command must be absolute, without quotes, "
                       "backslashes and ${",
                       key);
    buf_addf(&out, "%s=\"", key);
    for (; *path != '\0'; path++) {
        if (*path == '%')
            buf_addc(&out, '%');
        buf_addc(&out, *path);
    }
    buf_addc(&out, '"');
    text_list_add(argv, "-o");
    text_list_add(argv, out.data);
    return DR_OK;
}

static void add_options(struct text_list *argv, const struct config_ssh *ssh)
{
    static const char *const always[] = { "BatchMode=yes",           "StrictHostKeyChecking=yes",
                                          "UpdateHostKeys=no",       "ConnectionAttempts=1",
                                          "ControlMaster=no",        "ControlPath=none",
                                          "ClearAllForwardings=yes", "ForwardAgent=no",
                                          "ForwardX11=no",           "Tunnel=no",
                                          "PermitLocalCommand=no",   "RemoteCommand=none",
                                          "RequestTTY=no",           "EscapeChar=none",
                                          "TCPKeepAlive=yes" };
    int64_t seconds = (ssh->timeout_ms + 999) / 1000;
    DR_FREE char *connect = dr_strf("ConnectTimeout=%lld", (long long)(seconds > 0 ? seconds : 10));
    DR_FREE char *interval = dr_strf("ServerAliveInterval=%d", SSH_ALIVE_S);
    DR_FREE char *count = dr_strf("ServerAliveCountMax=%d", SSH_ALIVE_COUNT);
    const char *const counted[] = { connect, interval, count };
    text_list_add(argv, "ssh");
    text_list_add(argv, "-T");
    for (size_t i = 0; i < DR_ARRAY_LEN(always); i++) {
        text_list_add(argv, "-o");
        text_list_add(argv, always[i]);
    }
    for (size_t i = 0; i < DR_ARRAY_LEN(counted); i++) {
        text_list_add(argv, "-o");
        text_list_add(argv, counted[i]);
    }
}

enum dr_rc ssh_command(const struct config_ssh *ssh, struct text_list *ret, struct dr_err *err)
{
    const char *program = ssh->program != NULL ? ssh->program : "drctl";
    DR_CLEANUP(buf_fini) struct buf command = { 0 };
    if (ssh->host == NULL)
        return dr_fail(err, DR_E_CONFIG, "there is no host to reach by ssh");
    DR_TRY(check_name("host", ssh->host, "_.:%[]-", err));
    if (ssh->user != NULL)
        DR_TRY(check_name("user", ssh->user, "_.+-", err));
    if (program[0] == '-' || program[0] == '\0')
        return dr_fail(err, DR_E_CONFIG, "'%s' cannot be the program of an ssh command", program);
    add_options(ret, ssh);
    if (ssh->known_hosts != NULL) {
        DR_TRY(add_path(ret, "UserKnownHostsFile", ssh->known_hosts, err));
        text_list_add(ret, "-o");
        text_list_add(ret, "GlobalKnownHostsFile=/dev/null");
    }
    if (ssh->identity != NULL) {
        DR_TRY(add_path(ret, "IdentityFile", ssh->identity, err));
        text_list_add(ret, "-o");
        text_list_add(ret, "IdentitiesOnly=yes");
    }
    if (ssh->port > 0) {
        DR_FREE char *port = dr_strf("%d", ssh->port);
        text_list_add(ret, "-p");
        text_list_add(ret, port);
    }
    if (ssh->user != NULL) {
        text_list_add(ret, "-l");
        text_list_add(ret, ssh->user);
    }
    text_list_add(ret, "--");
    text_list_add(ret, ssh->host);
    ssh_quote(&command, program);
    buf_adds(&command, " step --remote");
    text_list_add(ret, command.data);
    return DR_OK;
}

const char *ssh_hint(const char *words)
{
    static const struct {
        const char *says, *hint;
    } rows[] = {
        { "IDENTIFICATION HAS CHANGED",
          "its host key is not the one that known_hosts has: somebody may stand between; compare "
          "it at the host's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub) before "
          "the line is replaced" },
        { "Host key verification failed",
          "its host key is not in known_hosts: look at it at the host's console (ssh-keygen -lf "
          "/etc/ssh/ssh_host_ed25519_key.pub), and add the line" },
        { "Permission denied", "it does not take our key: name one under sites[].ssh.identity, and "
                               "put its public half into authorized_keys there" },
        { "not found", "drctl has to be installed there: sites[].ssh.program says where" },
        { "No such file", "drctl has to be installed there: sites[].ssh.program says where" },
    };
    for (size_t i = 0; words != NULL && i < DR_ARRAY_LEN(rows); i++)
        if (strstr(words, rows[i].says) != NULL)
            return rows[i].hint;
    return NULL;
}
