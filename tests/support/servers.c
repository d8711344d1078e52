/*
 * servers.c - real servers for tests: nginx, HAProxy, PowerDNS, on loopback.
 *
 * Starting is: write the configuration, fork, exec, then ask until the answer is right. The
 * child asks the kernel to die with us, so that a test that crashes leaves nothing running.
 */
#include "tests/support/servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dr/base/clock.h"
#include "dr/net/http.h"
#include "dr/net/resolve.h"

enum { WAIT_MS = 60000, STARTS = 3 };

int server_free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof(in);
    if (fd < 0 || bind(fd, (struct sockaddr *)&in, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&in, &len) != 0) {
        perror("server_free_port");
        abort();
    }
    close(fd);
    return ntohs(in.sin_port);
}

const char *server_at(int port)
{
    static char texts[4][32];
    static unsigned turn;
    char *text = texts[turn++ % 4];
    snprintf(text, sizeof(texts[0]), "127.0.0.1:%d", port);
    return text;
}

int server_get(int port, const char *path, char *body, size_t size)
{
    char url[256];
    snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
    struct http_request request = { .url = url, .deadline_ms = clock_boot_ms() + 5000 };
    struct http_reply reply = { 0 };
    struct dr_err err = { 0 };
    int status = -1;
    if (http_do(&request, &reply, &err) == DR_OK) {
        status = reply.status;
        snprintf(body, size, "%s", reply.body.data ? reply.body.data : "");
    }
    http_reply_fini(&reply);
    return status;
}

DR_PRINTF(3, 4) static void write_file(const char *dir, const char *name, const char *fmt, ...)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *fp = fopen(path, "we");
    if (!fp) {
        perror(path);
        abort();
    }
    va_list ap;
    va_start(ap, fmt);
    vfprintf(fp, fmt, ap);
    va_end(ap);
    fclose(fp);
}

static void spawn(struct server *s, const char *const *argv)
{
    char log[256];
    snprintf(log, sizeof(log), "%s/log", s->dir);
    pid_t parent = getpid();
    s->pid = fork();
    if (s->pid != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (getppid() != parent || fd < 0)
        _exit(126);
    dup2(fd, 1);
    dup2(fd, 2);
    close(0);
    open("/dev/null", O_RDONLY);
    execvp(argv[0], (char *const *)(uintptr_t)argv); /* NOLINT(performance-no-int-to-ptr) */
    perror(argv[0]);
    _exit(127);
}

void server_stop(struct server *s)
{
    if (s->pid <= 0)
        return;
    kill(s->pid, SIGKILL);
    while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    s->pid = 0;
}

/* Ask until up() is content; false when the process ended or time is over. */
static bool wait_up(struct server *s, bool (*up)(const struct server *s))
{
    int64_t end_ms = clock_boot_ms() + WAIT_MS;
    while (clock_boot_ms() < end_ms) {
        if (up(s))
            return true;
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            break;
        }
        poll(NULL, 0, 10);
    }
    server_stop(s);
    return false;
}

static bool tell_log(const struct server *s)
{
    char path[256], line[512];
    snprintf(path, sizeof(path), "%s/log", s->dir);
    FILE *fp = fopen(path, "re");
    while (fp && fgets(line, sizeof(line), fp))
        fprintf(stderr, "%s: %s", s->dir, line);
    if (fp)
        fclose(fp);
    return false;
}

static void make_dir(struct server *s, const char *parent, const char *name)
{
    *s = (struct server){ 0 };
    snprintf(s->dir, sizeof(s->dir), "%s/%s", parent, name);
    if (mkdir(s->dir, 0700) != 0 && errno != EEXIST) {
        perror(s->dir);
        abort();
    }
}

static bool nginx_is_up(const struct server *s)
{
    char body[64];
    return server_get(s->port, "/health", body, sizeof(body)) == 200;
}

bool nginx_start(struct server *s, const char *parent, const char *name, int port, const char *conf)
{
    char www[256], file[256];
    make_dir(s, parent, name);
    snprintf(www, sizeof(www), "%s/www", s->dir);
    if (mkdir(www, 0755) != 0 && errno != EEXIST)
        return false;
    write_file(www, "health", "ok %s", name);
    snprintf(file, sizeof(file), "%s/nginx.conf", s->dir);
    for (int i = 0; i < STARTS; i++) {
        s->port = port ? port : server_free_port();
        write_file(s->dir, "nginx.conf",
                   "daemon off; master_process off; worker_processes 1; pid %s/pid;\n"
                   "error_log %s/log notice; events { worker_connections 64; }\n"
                   "http { access_log off; client_body_temp_path b; proxy_temp_path p;\n"
                   " fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n"
                   " server { listen 127.0.0.1:%d; root %s/www;\n"
                   "  location /status/503 { return 503 \"not ready\"; }\n"
                   "  location /moved { return 301 /health; }\n%s\n } }\n",
                   s->dir, s->dir, s->port, s->dir, conf ? conf : "");
        spawn(s, (const char *[]){ "/usr/sbin/nginx", "-e", "stderr", "-p", s->dir, "-c", file,
                                   NULL });
        if (wait_up(s, nginx_is_up))
            return true;
    }
    return tell_log(s);
}

static bool haproxy_is_up(const struct server *s)
{
    char path[256];
    int fd = -1;
    struct dr_err err = { 0 };
    snprintf(path, sizeof(path), "%s/admin.sock", s->dir);
    if (gate_connect(NULL, path, clock_boot_ms() + 5000, &fd, &err) != DR_OK)
        return false;
    DR_CLEANUP(buf_fini) struct buf answer = { 0 };
    bool up = gate_ask(fd, "show servers state web\n", 65536, clock_boot_ms() + 5000, &answer,
                       &err) == DR_OK &&
              strstr(answer.data, " web ");
    close(fd);
    return up;
}

bool haproxy_start(struct server *s, const char *parent, const char *const *names, const int *ports,
                   size_t count)
{
    char file[256];
    struct buf lines = { 0 };
    for (size_t i = 0; i < count; i++)
        buf_addf(&lines, " server %s 127.0.0.1:%d%s\n", names[i], ports[i],
                 i > 0 ? " disabled" : "");
    make_dir(s, parent, "haproxy");
    snprintf(file, sizeof(file), "%s/haproxy.cfg", s->dir);
    bool up = false;
    for (int i = 0; i < STARTS && !up; i++) {
        s->port = server_free_port();
        s->admin = server_free_port();
        write_file(s->dir, "haproxy.cfg",
                   "global\n nbthread 1\n maxconn 64\n"
                   " stats socket %s/admin.sock mode 600 level admin\n"
                   " stats socket %s/user.sock mode 600 level user\n"
                   " stats socket ipv4@127.0.0.1:%d level admin\n stats timeout 30s\n"
                   "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n"
                   " timeout server 30s\n"
                   "frontend fe\n bind 127.0.0.1:%d\n default_backend web\n"
                   "backend web\n%s",
                   s->dir, s->dir, s->admin, s->port, lines.data);
        spawn(s, (const char *[]){ "/usr/sbin/haproxy", "-db", "-f", file, NULL });
        up = wait_up(s, haproxy_is_up);
    }
    buf_fini(&lines);
    return up || tell_log(s);
}

/* Both faces: a DNS answer, and the API's. */
static bool pdns_is_up(const struct server *s)
{
    struct resolve_options options = { .server = server_at(s->port),
                                       .deadline_ms = clock_boot_ms() + 1500 };
    struct resolve_answer answer = { 0 };
    struct dr_err err = { 0 };
    char body[256];
    bool up = server_get(s->admin, "/api/v1/servers", body, sizeof(body)) == 401 &&
              resolve_query("app.example.test", "A", &options, &answer, &err) == DR_OK;
    resolve_answer_fini(&answer);
    return up;
}

static bool make_zone(const struct server *s)
{
    char cmd[1024];
    snprintf(cmd, sizeof(cmd),
             "cat /usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql '%s/zone.sql' |"
             " sqlite3 '%s/pdns.db' 2>>'%s/log'",
             s->dir, s->dir, s->dir);
    write_file(s->dir, "zone.sql",
               "insert into domains (id, name, type) values (1, 'example.test', 'NATIVE');\n"
               "insert into records (domain_id, name, type, content, ttl, disabled) values\n"
               " (1, 'example.test', 'SOA', 'ns.example.test h.example.test 1 60 60 60 60', 60, 0),"
               " (1, 'example.test', 'NS', 'ns.example.test', 60, 0),\n"
               " (1, 'app.example.test', 'A', '127.0.0.1', 60, 0),\n"
               " (1, 'www.example.test', 'CNAME', 'app.example.test', 300, 0),\n"
               " (1, 'text.example.test', 'TXT', '\"hello there\"', 60, 0);\n");
    return system(cmd) == 0; /* NOLINT(cert-env33-c,concurrency-mt-unsafe): one thread */
}

bool pdns_start(struct server *s, const char *parent)
{
    char config_dir[256];
    make_dir(s, parent, "pdns");
    if (!make_zone(s))
        return tell_log(s);
    snprintf(config_dir, sizeof(config_dir), "--config-dir=%s", s->dir);
    for (int i = 0; i < STARTS; i++) {
        s->port = server_free_port();
        s->admin = server_free_port();
        write_file(s->dir, "pdns.conf",
                   "launch=gsqlite3\ngsqlite3-database=%s/pdns.db\n"
                   "gsqlite3-pragma-synchronous=0\nlocal-address=127.0.0.1\nlocal-port=%d\n"
                   "api=yes\napi-key=" PDNS_KEY "\nwebserver=yes\nwebserver-address=127.0.0.1\n"
                   "webserver-port=%d\nwebserver-allow-from=127.0.0.1\nsocket-dir=%s\n"
                   "daemon=no\nguardian=no\ndisable-syslog=yes\nreceiver-threads=1\n"
                   "distributor-threads=1\ncache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\n"
                   "zone-cache-refresh-interval=0\nsecurity-poll-suffix=\n"
                   "version-string=anonymous\n"
                   "default-soa-content=ns.@ hostmaster.@ 0 60 60 60 60\n",
                   s->dir, s->port, s->admin, s->dir);
        spawn(s, (const char *[]){ "/usr/sbin/pdns_server", config_dir, NULL });
        if (wait_up(s, pdns_is_up))
            return true;
    }
    return tell_log(s);
}
