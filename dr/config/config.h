/*
 * config.h - the one configuration file, read and checked, as plain structs.
 *
 * config_load() reads the file whole (YAML of dr/data/yaml.h), tells every mistake at once as
 * FILE:LINE:COL with the nearest known key, and gives back a tree in which every value has its
 * type and unit. Names are those of DESIGN chapter 7; beyond that page there are:
 *
 *     sites[].fields      name -> text, for ${target.NAME} in plans (bmc: 10.0.0.9)
 *     providers           where the built-in step types find their servers:
 *       haproxy  {socket: PATH or HOST:PORT}
 *       powerdns {url: URL, key: secret, server: localhost}
 *       dns      {resolvers: ["ADDRESS:PORT"]}; whom dns.check and dns.ttl ask unless the plan says
 *       service  {start: [argv], stop: [argv], status: [argv]}; default systemctl; the unit's name and
 *                "${region}" / "${unit}" are put into the argv
 *     secrets             NAME -> {file: PATH} or {env: NAME}
 *     coordination.lease  {driver: file, path: DIR, hold: 20s, take: 30s}, or
 *                         {driver: bucket, bucket: NAME, hold: 20s, take: 30s}
 *     health[].interval, .timeout, .resolver ("127.0.0.1:5300"), .times
 *     sites[].ssh         what ssh(1) is told, where reach is ssh
 *     sources[].timeout   of one whole backup of it
 *     backup_policy.verification, backup_policy.prune, monitoring.preflight    how often
 *     drill_schedule.time, .plans, .blackout
 *     findings            {owner: NAME, due: {critical: 7d, warning: 30d}}
 *     serve, here         where the status page listens; which site this host is
 *
 *     health[].interval, .timeout also have defaults in disaster_recovery.monitoring.health_checks
 *
 * dr.yaml.5 tells every key; a test holds the page and the tables here equal, both ways.
 * A key that a version reads but does not use is told as a warning, so that nobody relies on what
 * does not happen. What would be dangerous to ignore (another lease driver) is an error.
 *
 * A region is known when the strategy or a site names it; without both, the buckets name their own.
 * A file that has only the disaster_recovery block gets a bucket for each storage location: a url or
 * an absolute path as it is; of a bare word nobody knows where it lies, so its bucket counts and
 * cannot be opened, until somebody writes the url. It is a warning, for the file has to load.
 *
 * How to use it:
 *
 *     DR_CLEANUP(diag_fini) struct diag d = { 0 };
 *     DR_CLEANUP(config_free_ptr) struct config *c = NULL;
 *     enum dr_rc rc = config_load("dr.yaml", &d, &c, &err);
 *     diag_print(&d, &out);                     warnings, too, when rc is DR_OK
 *
 * Programs use cli_config() of dr/cli/cli.h instead, which does this and tells the findings.
 *
 * Everything here is owned by the struct config and lives until config_free().
 */
#ifndef DR_CONFIG_CONFIG_H
#define DR_CONFIG_CONFIG_H

#include "dr/base/err.h"
#include "dr/base/text.h"
#include "dr/config/prices.h"
#include "dr/data/diag.h"

struct config_place { /* where a value was written, for messages of others */
    int line, col;
};

struct config_pair {
    char *name;
    char *value;
    struct config_place at;
};

/* What ssh(1) is told. NULL or 0: nothing, so that the user's own ssh_config(5) decides. No text here
 * begins with '-' or holds a blank or a control byte: it cannot become an option of ssh. */
struct config_ssh {
    char *host; /* default: the site's address, else its host, else its name */
    char *user;
    int port;
    char *identity;     /* absolute path of the private key */
    char *known_hosts;  /* absolute path; a host whose key is not there is refused */
    char *program;      /* drctl over there; default "drctl" */
    int64_t timeout_ms; /* to connect; default 10 s */
};

/* Where steps run: a host that stands for a region. Several sites may share one. */
struct config_site {
    char *name; /* default: the region; unique */
    char *region;
    char *host;
    char *reach; /* "local" (default) or "ssh" */
    char *address;
    struct config_ssh ssh; /* of reach "ssh": its defaults are filled in; else all NULL */
    struct config_pair *fields;
    size_t field_count;
    struct config_place at;
};

enum {
    CONFIG_HOOK_MS = 5 * 60 * 1000,      /* a hook's deadline, where none is written */
    CONFIG_JOB_MS = 24 * 60 * 60 * 1000, /* of a whole backup */
};

/* Commands around a backup: argv each, empty where there is none. A single line is /bin/sh's. */
struct config_hooks {
    struct text_list pre, post, on_error;
    int64_t timeout_ms; /* of each; 0 only when there is no block */
};

/* A tree that is backed up. Its root becomes the root of the snapshot. */
struct config_source {
    char *name;               /* unique; [a-z0-9][a-z0-9._-]*, as all names here are */
    char *site;               /* name of a site or region, or NULL */
    char *path;               /* absolute */
    char *class;              /* "data" (default) or "config" */
    char *sentinel;           /* path of the sentinel below path (never with ".." in it), or NULL */
    bool sentinel_is_theirs;  /* the application writes it; else backupd does */
    struct text_list exclude; /* as written: what a pattern means is the walk's business */
    struct config_hooks hooks;
    int64_t timeout_ms; /* a backup of it that takes longer is ended */
    struct config_place at;
};

/* Where the keys of a bucket come from. kind NULL: not said, the first of the places that AWS's own
 * tools look at. Names of secrets, never their values. */
struct config_credentials {
    char *kind;                                    /* "keys" "profile" "environment" "container"
                                                      "instance", or NULL */
    char *profile;                                 /* of kind profile */
    char *access_key, *secret_key, *session_token; /* of kind keys; the token may be NULL */
};

struct config_lock { /* what is put cannot be removed for so long, by nobody */
    int64_t ms;      /* 0: no lock */
    char *mode;      /* "compliance" (default) or "governance"; NULL: no lock */
};

/* A place for snapshots. All snapshots go to all buckets. */
struct config_bucket {
    char *name;   /* unique */
    char *url;    /* file:///DIRECTORY, s3://BUCKET (s3_url.h), exec:///PROGRAM; of a storage
                     location alone: as written there */
    char *region; /* declared lost together with it */
    struct config_credentials credentials;
    struct config_credentials guard; /* of who may delete and extend locks; kind NULL: as above */
    struct config_credentials drill; /* of drills, which should only read; kind NULL: as above */
    char *ca;                        /* file of trusted certificates, or NULL: the system's */
    struct config_lock lock;
    struct config_place at;
};

/* What the prober asks, and when it calls the service recovered. */
struct config_probe {
    char *name;
    char *kind;            /* "http" (default) "tcp" "exec" */
    char *url;             /* http(s)://..., tcp://HOST:PORT, or the absolute path of a program */
    char *resolver;        /* "ADDRESS:PORT" of the name server to ask, or NULL: the system's */
    int expect;            /* HTTP status, default 200 */
    struct text_list from; /* sites or regions that ask; empty: all */
    int64_t interval_ms, timeout_ms;
    int times; /* passes in a row that mean "recovered" */
    struct config_place at;
};

/* One of full_backup, incremental_backup, config_snapshot. frequency_word is "daily" and so on where a word
 * was written (then the calendar means it, and the ms are its nominal length: a month has 30 days), and
 * NULL where a duration was. Never freed. */
struct config_policy {
    bool given;
    int64_t frequency_ms, retention_ms; /* 0: not given */
    const char *frequency_word;
    struct text_list storage_locations; /* names of buckets; in a file without buckets: places */
    struct config_place at, frequency_at, retention_at;
};

/* backup_policy.verification and .prune: what is done with the snapshots beside taking them. */
struct config_chore {
    bool given;
    int64_t
        frequency_ms; /* default: verification weekly, prune daily; in force when not given, too */
    const char *frequency_word; /* as above */
    uint64_t budget_bytes;      /* verification: what one round reads back; default 10 GiB */
    struct config_place at;
};

struct config_objective {
    char *plan; /* '-' and '_' are equal: stored with '_' */
    int64_t ms;
    struct config_place at;
};

/* Somebody who may approve: one row for each role that a person has, in the order of the file, which
 * is the order of escalation. */
struct config_person {
    char *name;
    char *role;    /* the key under contact_information, letter by letter: "dr-commander" */
    char *channel; /* of notify, by which this person is reached, or NULL */
    struct config_pair *fields; /* what else was written: phone, email, any word */
    size_t field_count;
};

/* notify.NAME: somewhere to tell people. Which texts are there hangs on the kind; the reader saw to it:
 *
 *     slack      url or url_file (the secret incoming webhook)
 *     pagerduty  secret (the routing key); url (default: PagerDuty's)
 *     webhook    url or url_file; secret (signs each letter), or NULL: not signed
 *     smtp       url "smtp://HOST[:PORT]" or "smtps://..."; from, to; user and secret, or neither
 *     command    command
 */
struct config_channel {
    char *name;
    char *kind;     /* always set: written, or plain from the rest */
    char *url;      /* or NULL */
    char *url_file; /* absolute; its first line is the url; or NULL */
    char *secret;   /* name of a secret, or NULL */
    char *from, *user;
    struct text_list to;      /* addresses of smtp */
    struct text_list command; /* argv; the letter comes on its standard input */
    char *ca;                 /* file of trusted certificates, or NULL: the system's */
    struct config_place at;
};

struct config_alerts { /* monitoring.alerting.critical_alerts, .warning_alerts */
    struct text_list channels;
    int64_t escalation_ms; /* 0: nobody else is told */
    struct config_place at;
};

/* When there is no drill. What is not said holds always; what is said has to hold together. */
struct config_blackout {
    char *from, *to; /* "2026-12-20", both days included; NULL: no limit */
    unsigned days;   /* bit 0: Sunday ... bit 6; 0: every day */
    int start_min,
        end_min;  /* minutes of the day, end excluded; start > end: over midnight, and the days
                               are those on which it starts; both 0: the whole day */
    char *reason; /* or NULL */
};

/* drill_schedule. Times are those of the host's time zone. */
struct config_drill {
    bool given;
    int64_t frequency_ms;
    const char *frequency_word; /* as in config_policy */
    int time_min;               /* minute of the day to begin at; -1: not said */
    struct text_list plans;     /* their names; empty: the plan of each runbook */
    struct text_list participants, channels;
    struct config_blackout *blackouts;
    size_t blackout_count;
    struct config_place at;
};

/* findings: who owns what is found, and how long after the run that found it it has to be seen to. */
struct config_findings {
    char *owner;                     /* a contact, a role or a participant of drills; or NULL */
    int64_t critical_ms, warning_ms; /* 0: no due date */
};

/* Exactly one of file and env is set; the value is read by config_secret() when it is needed. */
struct config_secret {
    char *name;
    char *file; /* or NULL */
    char *env;  /* or NULL */
};

/* Whose signatures count for a source. A source without a row trusts this host's key alone. */
struct config_trust {
    char *source;          /* of the configuration */
    struct text_list keys; /* "ed25519:BASE64" */
};

/* The source that is always there: what drctl needs to be itself again (dr/cli/self.h). */
#define CONFIG_SELF "drctl-self"

struct config {
    char *path;                /* absolute, of the file */
    struct config_source self; /* CONFIG_SELF, of class config; it stands in no list */
    char *strategy_type;
    char *primary_region;
    struct text_list
        regions; /* primary, then secondaries by priority; else those of sites and buckets */
    struct config_policy full, incremental, snapshot;
    struct config_chore verification, prune;
    int64_t preflight_ms; /* monitoring.preflight.interval, default 30 min */
    int64_t status_ms;    /* monitoring.status.interval, default 1 min */
    struct text_list
        require; /* regions: without a copy in each of them a snapshot is not durable */
    struct config_objective *rto, *rpo;
    size_t rto_count, rpo_count;
    struct config_site *sites;
    size_t site_count;
    struct config_source *sources;
    size_t source_count;
    struct config_bucket *buckets;
    size_t bucket_count;
    struct config_probe *probes;
    size_t probe_count;
    struct config_person *people; /* incident_response.contact_information */
    size_t person_count;
    struct config_place people_at;
    struct text_list runbooks; /* incident_response.runbooks: files or names of plans */
    struct config_place incident_at;
    struct config_drill drill;
    struct config_findings findings;
    int failure_threshold; /* monitoring.health_checks: bad answers in a row before one is told; 3 */
    struct config_alerts critical, warning;
    struct config_channel *channels;
    size_t channel_count;
    struct {
        char *listen; /* "ADDRESS:PORT", default 127.0.0.1:9188 */
        struct text_list
            hosts; /* names that a Host header may have, beside the address and localhost */
        struct config_place at;
    } serve;
    char *here; /* the site of this host, or NULL: ask config_here() */
    struct config_secret *secrets;
    size_t secret_count;
    struct config_trust *trusts;
    size_t trust_count;
    struct {
        char *driver;             /* "file" or "bucket" */
        char *path;               /* default STATE_DIR/leases */
        char *bucket;             /* name of a known bucket; NULL with driver file */
        int64_t hold_ms, take_ms; /* take is always longer than hold */
    } lease;
    struct {
        char *haproxy_socket;                                /* or NULL */
        char *haproxy_drill_socket;                          /* of drills; or NULL */
        char *powerdns_url, *powerdns_key, *powerdns_server; /* key: name of a secret */
        char *powerdns_drill_key;                            /* of drills; likewise, or NULL */
        struct text_list dns_resolvers; /* "ADDRESS:PORT"; empty: the system's */
        struct text_list service_start, service_stop, service_status;
    } providers;
    struct config_prices prices;
    char *state_dir; /* absolute; default /var/lib/drctl */
    bool rehearsal;  /* never of the file: who reads by it is a part of a drill (rights.h) */
};

/*
 * Read and check the file. Findings go to d in every case (warnings too). DR_E_CONFIG when there was
 * an error: ret is not set. DR_E_NOTFOUND and others when it cannot be read at all. The caller frees.
 */
enum dr_rc config_load(const char *path, struct diag *d, struct config **ret, struct dr_err *err)
    DR_MUST_USE;
void config_free(struct config *c);
DR_DEFINE_CLEANUP(struct config, config_free)

/* NULL when there is none of that name. Borrowed. */
const struct config_site *config_site(const struct config *c, const char *name_or_region);
const struct config_source *config_source(const struct config *c, const char *name);
const struct config_bucket *config_bucket(const struct config *c, const char *name);
const struct config_channel *config_channel(const struct config *c, const char *name);
const char *config_site_field(const struct config_site *site, const char *field);
bool config_is_region(const struct config *c, const char *name);

/* Does trusted_writers name this key ("ed25519:BASE64") for any source? For what hosts say of themselves. */
bool config_trusts_key(const struct config *c, const char *key);

/*
 * The site that this host is: 'here' of the file; else the one site whose host, address or name is
 * hostname (its first label is enough); else the only site. NULL: not known (or no sites at all). So one
 * file serves all hosts, and a site with reach ssh is local on its own host.
 */
const struct config_site *config_here(const struct config *c, const char *hostname);

/* Does this host ask the probe? Yes when nobody is named, or this host has no site. */
bool config_is_asked_here(const struct config_site *here, const struct config_probe *probe);

/* Does this host take the backups of the source? Yes when the source or this host has no site. */
bool config_is_mine(const struct config *c, const struct config_site *here,
                    const struct config_source *source);

/* The blackout that holds at this local time (of tm: year, mon, mday, wday, hour, min), or NULL. */
struct tm;
const struct config_blackout *config_blackout(const struct config *c, const struct tm *local);

/* Is it a contact, a role, or a participant of drills? */
bool config_is_somebody(const struct config *c, const char *name);

/* Where the letters of a channel go: url, or what is in url_file. Not for smtp without one, nor for
 * command. The caller frees (and keeps it to itself: some of these are secrets). */
enum dr_rc config_channel_url(const struct config *c, const struct config_channel *channel,
                              char **ret, struct dr_err *err) DR_MUST_USE;

/* The secret's value (trailing newline removed). The caller frees (and wipes) it. */
enum dr_rc config_secret(const struct config *c, const char *name, char **ret, struct dr_err *err)
    DR_MUST_USE;

/* -1 when there is none. plan: '-' and '_' are equal. */
int64_t config_rto_ms(const struct config *c, const char *plan);
int64_t config_rpo_ms(const struct config *c, const char *plan);

/* The names of all regions that are known (sites, strategy, buckets), for lint. */
void config_known_regions(const struct config *c, struct text_list *ret);

#endif
