/* One life of a fleet, compiled: the same steps and the same draws as life.py, groups.py, nodes.py and state.py beside this file, which
   say what each step means. A test holds both against each other, bit for bit. Structs hold the fields of the tuples of state.py, in
   their order. Draws are numpy's own (libnpyrandom). Times in s, rates in 1/s. */

#include <math.h>
#include <stdint.h>

typedef int64_t i64;
typedef struct bitgen {
    void *state;
    uint64_t (*next_uint64)(void *);
    uint32_t (*next_uint32)(void *);
    double (*next_double)(void *);
    uint64_t (*next_raw)(void *);
} bitgen_t;
extern double random_standard_exponential(bitgen_t *);
extern double random_standard_normal(bitgen_t *);

typedef struct {
    const double *hazard, *laws;
    const i64 *size, *quorum, *led, *sides;
    const double *hidden_s, *turn_s;
    const i64 *handover, *first_node, *first_side, *first_group, *node_side, *node_zone, *side_service, *side_group, *group_service,
        *zone_area, *zone_first, *zone_nodes, *region_first, *queue_first;
    const double *levels;
    double window_s, budget_s;
    /* What tuples know by themselves. */
    i64 services, groups, zones, regions, level_count, heap_room;
} Model;

typedef struct {
    i64 *node_state, *node_version, *node_queued, *side_up, *side_leader, *side_electing, *side_version, *side_works, *group_active,
        *group_mode, *group_version, *back_version;
    double *group_since;
    i64 *group_cause;
    double *window_down;
    i64 *zone_dark, *zone_struck, *region_struck, *crews, *queue, *queue_at, *queue_length;
    double *heap_at;
    i64 *heap_key;
    double *turn_at;
    i64 *turn, *ints;
    double *floats;
    i64 *outages;
    double *lost_s, *longest_s;
    i64 *windows, *windows_met;
    double *level_s;
    i64 *events;
} State;

enum { UP, SYNC, WAIT, REPAIR, OFF, RESTART };
enum { NORMAL, DETECTING, WANTING, SWITCHING };
enum { NODE_DUE, ELECTED, GROUP_DUE, BACK_DUE, ZONE_DUE, REGION_DUE };
enum { CONSTANT, UNIFORM, EXPONENTIAL, LOGNORMAL };
enum { L_REPAIR, L_RESTART, L_RESYNC, L_TAKEOVER, L_DETECT, L_SWITCH, L_BACK, L_MAINTAIN, LAWS };
enum { CRASH, COMMON, ZONE, REGION, PLANNED, CAUSES, LEFT_OUT = CAUSES, SWITCHES };
enum { SIZE, CHANGES, DOWN, MOST };
enum { LAST, WINDOW };
#define BITS 28
#define MASK (((i64)1 << BITS) - 1)
#define OF_A_SERVICE (3 * LAWS)
#define LAW(service, law) ((service) * OF_A_SERVICE + 3 * (law))
#define IN static inline
#define ALL const Model *m, State *s, bitgen_t *rng, double now
#define WITH m, s, rng, now

IN double uniform(bitgen_t *rng) { return rng->next_double(rng->state); }

IN double draw(const Model *m, i64 at, bitgen_t *rng) {
    double kind = m->laws[at], first = m->laws[at + 1], second = m->laws[at + 2];
    if (kind == CONSTANT) return first;
    if (kind == UNIFORM) return first + (second - first) * uniform(rng);
    if (kind == EXPONENTIAL) return first * random_standard_exponential(rng);
    return exp(first + second * random_standard_normal(rng));
}

/* --- the heap --- */

IN i64 version(const State *s, i64 kind, i64 which) {
    switch (kind) {
    case NODE_DUE: return s->node_version[which] & MASK;
    case ELECTED: return s->side_version[which] & MASK;
    case GROUP_DUE: return s->group_version[which] & MASK;
    case BACK_DUE: return s->back_version[which] & MASK;
    default: return 0;
    }
}

IN void sift_up(State *s, i64 place, double at, i64 key) {
    while (place > 0) {
        i64 parent = (place - 1) >> 1;
        if (s->heap_at[parent] <= at) break;
        s->heap_at[place] = s->heap_at[parent];
        s->heap_key[place] = s->heap_key[parent];
        place = parent;
    }
    s->heap_at[place] = at;
    s->heap_key[place] = key;
}

static void compact(const Model *m, State *s) {
    i64 kept = 0;
    for (i64 place = 0; place < m->heap_room; place++) {
        double when = s->heap_at[place];
        i64 key = s->heap_key[place];
        if ((key & MASK) == version(s, key >> (2 * BITS), (key >> BITS) & MASK)) sift_up(s, kept++, when, key);
    }
    s->ints[SIZE] = kept;
}

IN void push(const Model *m, State *s, double at, i64 kind, i64 which) {
    if (s->ints[SIZE] == m->heap_room) compact(m, s);
    sift_up(s, s->ints[SIZE], at, (kind << (2 * BITS)) | (which << BITS) | version(s, kind, which));
    s->ints[SIZE]++;
}

IN i64 pop(State *s) {
    i64 key = s->heap_key[0], size = --s->ints[SIZE], last = s->heap_key[size], place = 0;
    double at = s->heap_at[size];
    for (;;) {
        i64 child = 2 * place + 1;
        if (child >= size) break;
        if (child + 1 < size && s->heap_at[child + 1] < s->heap_at[child]) child++;
        if (s->heap_at[child] >= at) break;
        s->heap_at[place] = s->heap_at[child];
        s->heap_key[place] = s->heap_key[child];
        place = child;
    }
    s->heap_at[place] = at;
    s->heap_key[place] = last;
    return key;
}

/* --- groups --- */

IN void levels(const Model *m, State *s, double now, i64 more) {
    i64 down = s->ints[DOWN];
    for (i64 level = 0; level < m->level_count; level++)
        if ((double)down >= m->levels[level]) s->level_s[level] += now - s->floats[LAST];
    s->floats[LAST] = now;
    s->ints[DOWN] = down + more;
    if (down + more > s->ints[MOST]) s->ints[MOST] = down + more;
}

IN void group_down(const Model *m, State *s, double now, i64 group, i64 cause) {
    if (s->group_since[group] < 0) {
        levels(m, s, now, 1);
        s->group_since[group] = now;
        s->group_cause[group] = cause;
    }
}

IN void group_up(const Model *m, State *s, double now, i64 group) {
    i64 service = m->group_service[group];
    double seen_from = s->group_since[group] + m->hidden_s[service];
    levels(m, s, now, -1);
    s->group_since[group] = -1.0;
    if (now > seen_from) {
        i64 place = service * CAUSES + s->group_cause[group];
        s->outages[place]++;
        s->lost_s[place] += now - seen_from;
        if (now - seen_from > s->longest_s[service]) s->longest_s[service] = now - seen_from;
        if (m->window_s > 0) s->window_down[group] += now - (seen_from > s->floats[WINDOW] ? seen_from : s->floats[WINDOW]);
    }
}

static void side_changed(ALL, i64 side, i64 cause) {
    i64 works = s->side_works[side], group = m->side_group[side], service = m->side_service[side];
    if (m->sides[service] == 1) {
        if (works) group_up(m, s, now, group);
        else group_down(m, s, now, group, cause);
        return;
    }
    i64 home = m->first_side[service] + 2 * (group - m->first_group[service]), mode = s->group_mode[group];
    if (mode != SWITCHING && side == home + s->group_active[group]) {
        s->group_version[group]++;
        if (works) {
            s->group_mode[group] = NORMAL;
            group_up(m, s, now, group);
        } else {
            s->group_mode[group] = DETECTING;
            group_down(m, s, now, group, cause);
            push(m, s, now + draw(m, LAW(service, L_DETECT), rng), GROUP_DUE, group);
        }
    } else if (works && mode == WANTING) {
        s->group_mode[group] = SWITCHING;
        s->group_version[group]++;
        push(m, s, now + draw(m, LAW(service, L_SWITCH), rng), GROUP_DUE, group);
    }
    if (side == home && s->group_active[group] != 0) {
        s->back_version[group]++;
        if (works) push(m, s, now + draw(m, LAW(service, L_BACK), rng), BACK_DUE, group);
    }
}

static void group_due(ALL, i64 group) {
    i64 service = m->group_service[group], home = m->first_side[service] + 2 * (group - m->first_group[service]);
    s->group_version[group]++;
    if (s->group_mode[group] == DETECTING) {
        if (s->side_works[home + 1 - s->group_active[group]]) {
            s->group_mode[group] = SWITCHING;
            push(m, s, now + draw(m, LAW(service, L_SWITCH), rng), GROUP_DUE, group);
        } else {
            s->group_mode[group] = WANTING;
        }
        return;
    }
    s->ints[CHANGES]++;
    s->events[SWITCHES]++;
    s->group_active[group] = 1 - s->group_active[group];
    s->back_version[group]++;
    if (s->group_active[group] != 0 && s->side_works[home]) push(m, s, now + draw(m, LAW(service, L_BACK), rng), BACK_DUE, group);
    if (s->side_works[home + s->group_active[group]]) {
        s->group_mode[group] = NORMAL;
        group_up(m, s, now, group);
    } else {
        s->group_mode[group] = DETECTING;
        push(m, s, now + draw(m, LAW(service, L_DETECT), rng), GROUP_DUE, group);
    }
}

static void back_due(ALL, i64 group) {
    s->back_version[group]++;
    if (s->group_mode[group] == NORMAL) {
        s->ints[CHANGES]++;
        s->group_active[group] = 0;
    } else {
        push(m, s, now + draw(m, LAW(m->group_service[group], L_BACK), rng), BACK_DUE, group);
    }
}

/* --- nodes and sides --- */

IN void look(ALL, i64 side, i64 cause) {
    i64 service = m->side_service[side], enough = s->side_up[side] >= m->quorum[service], works = enough;
    if (m->led[service]) {
        if (!enough) {
            if (s->side_leader[side] >= 0) {
                s->side_leader[side] = -1;
                s->ints[CHANGES]++;
            }
            if (s->side_electing[side]) {
                s->side_electing[side] = 0;
                s->side_version[side]++;
            }
        } else if (s->side_leader[side] < 0 && !s->side_electing[side]) {
            s->side_electing[side] = 1;
            push(m, s, now + draw(m, LAW(service, L_TAKEOVER), rng), ELECTED, side);
        }
        works = s->side_leader[side] >= 0;
    }
    if (works != s->side_works[side]) {
        s->side_works[side] = works;
        side_changed(WITH, side, cause);
    }
}

IN i64 first_of(const Model *m, i64 side) {
    i64 service = m->side_service[side];
    return m->first_node[service] + (side - m->first_side[service]) * m->size[service];
}

IN i64 voter(const Model *m, State *s, bitgen_t *rng, i64 side) {
    i64 size = m->size[m->side_service[side]], first = first_of(m, side);
    for (;;) {
        i64 node = first + (i64)(uniform(rng) * (double)size);
        if (s->node_state[node] == UP) return node;
    }
}

IN void elected(ALL, i64 side) {
    s->side_electing[side] = 0;
    s->side_version[side]++;
    s->side_leader[side] = voter(m, s, rng, side);
    s->ints[CHANGES]++;
    look(WITH, side, CRASH);
}

IN void fall(ALL, i64 node, i64 into, i64 cause) {
    i64 before = s->node_state[node];
    s->node_state[node] = into;
    s->node_version[node]++;
    s->ints[CHANGES]++;
    if (before == UP) {
        i64 side = m->node_side[node];
        s->side_up[side]--;
        if (s->side_leader[side] == node) {
            s->side_leader[side] = -1;
            s->ints[CHANGES]++;
        }
        look(WITH, side, cause);
    }
}

IN void vote(ALL, i64 node) {
    s->node_state[node] = UP;
    s->node_version[node]++;
    s->ints[CHANGES]++;
    s->side_up[m->node_side[node]]++;
    look(WITH, m->node_side[node], CRASH);
}

IN void started(ALL, i64 node) {
    i64 law = LAW(m->side_service[m->node_side[node]], L_RESYNC);
    if (m->laws[law] == CONSTANT && m->laws[law + 1] == 0) {
        vote(WITH, node);
        return;
    }
    s->node_state[node] = SYNC;
    s->node_version[node]++;
    s->ints[CHANGES]++;
    push(m, s, now + draw(m, law, rng), NODE_DUE, node);
}

IN void restart(ALL, i64 node, i64 law) {
    s->node_state[node] = RESTART;
    s->node_version[node]++;
    push(m, s, now + draw(m, LAW(m->side_service[m->node_side[node]], law), rng), NODE_DUE, node);
}

static void repair(ALL, i64 node) {
    i64 zone = m->node_zone[node], area = m->zone_area[zone];
    if (s->zone_dark[zone] > 0 || s->node_queued[node]) return;
    if (s->crews[area] == 0) {
        i64 first = m->queue_first[area], room = m->queue_first[area + 1] - first;
        s->queue[first + (s->queue_at[area] + s->queue_length[area]) % room] = node;
        s->queue_length[area]++;
        s->node_queued[node] = 1;
        return;
    }
    if (s->crews[area] > 0) s->crews[area]--;
    s->node_state[node] = REPAIR;
    s->node_version[node]++;
    push(m, s, now + draw(m, LAW(m->side_service[m->node_side[node]], L_REPAIR), rng), NODE_DUE, node);
}

IN void crew_free(ALL, i64 area) {
    if (s->crews[area] < 0) return;
    s->crews[area]++;
    i64 first = m->queue_first[area], room = m->queue_first[area + 1] - first;
    while (s->queue_length[area] > 0 && s->crews[area] > 0) {
        i64 node = s->queue[first + s->queue_at[area]];
        s->queue_at[area] = (s->queue_at[area] + 1) % room;
        s->queue_length[area]--;
        s->node_queued[node] = 0;
        repair(WITH, node);
    }
}

IN void break_node(ALL, i64 node, i64 cause) {
    if (s->node_state[node] <= SYNC) {
        s->events[cause]++;
        fall(WITH, node, WAIT, cause);
        repair(WITH, node);
    }
}

IN void node_due(ALL, i64 node) {
    i64 state = s->node_state[node];
    if (state == SYNC) {
        vote(WITH, node);
        return;
    }
    started(WITH, node);
    if (state == REPAIR) crew_free(WITH, m->zone_area[m->node_zone[node]]);
}

/* --- zones, regions, plans --- */

static void darken(ALL, i64 zone, i64 cause) {
    s->zone_dark[zone]++;
    s->ints[CHANGES]++;
    if (s->zone_dark[zone] > 1) return;
    for (i64 place = m->zone_first[zone]; place < m->zone_first[zone + 1]; place++) {
        i64 node = m->zone_nodes[place], state = s->node_state[node];
        if (state == REPAIR) {
            s->node_state[node] = WAIT;
            s->node_version[node]++;
            crew_free(WITH, m->zone_area[zone]);
        } else if (state == UP || state == SYNC || state == RESTART) {
            fall(WITH, node, OFF, cause);
        }
    }
}

static void lighten(ALL, i64 zone) {
    s->zone_dark[zone]--;
    s->ints[CHANGES]++;
    if (s->zone_dark[zone] > 0) return;
    for (i64 place = m->zone_first[zone]; place < m->zone_first[zone + 1]; place++) {
        i64 node = m->zone_nodes[place];
        if (s->node_state[node] == OFF) restart(WITH, node, L_RESTART);
        else if (s->node_state[node] == WAIT) repair(WITH, node);
    }
}

static void strike(ALL, double rate) {
    i64 services = m->services, source = 0;
    double where = uniform(rng) * rate;
    while (where >= m->hazard[source]) source++;
    double below = source > 0 ? m->hazard[source - 1] : 0.0, share = (where - below) / (m->hazard[source] - below);
    if (source < services) {
        i64 first = m->first_node[source];
        break_node(WITH, first + (i64)(share * (double)(m->first_node[source + 1] - first)), CRASH);
    } else if (source < 2 * services) {
        i64 service = source - services, sides = m->first_side[service + 1] - m->first_side[service];
        i64 first = m->first_node[service] + (i64)(share * (double)sides) * m->size[service];
        for (i64 node = first; node < first + m->size[service]; node++) break_node(WITH, node, COMMON);
    } else if (source == 2 * services) {
        i64 zone = (i64)(share * (double)m->zones);
        if (s->zone_dark[zone] == 0) {
            s->zone_struck[zone] = 1;
            s->events[ZONE]++;
            darken(WITH, zone, ZONE);
            push(m, s, now + draw(m, services * OF_A_SERVICE, rng), ZONE_DUE, zone);
        }
    } else {
        i64 region = (i64)(share * (double)m->regions);
        if (!s->region_struck[region]) {
            s->region_struck[region] = 1;
            s->events[REGION]++;
            for (i64 zone = m->region_first[region]; zone < m->region_first[region + 1]; zone++) darken(WITH, zone, REGION);
            push(m, s, now + draw(m, services * OF_A_SERVICE + 3, rng), REGION_DUE, region);
        }
    }
}

static void planned(ALL, i64 service) {
    i64 sides = m->first_side[service + 1] - m->first_side[service], size = m->size[service];
    i64 side = m->first_side[service] + s->turn[service] % sides;
    i64 node = first_of(m, side) + (s->turn[service] / sides) % size;
    s->turn[service]++;
    s->turn_at[service] += m->turn_s[service];
    if (s->side_up[side] < size || !s->side_works[side] || s->group_since[m->side_group[side]] >= 0) {
        s->events[LEFT_OUT]++;
        return;
    }
    s->events[PLANNED]++;
    if (s->side_leader[side] == node && m->handover[service] && size > m->quorum[service]) {
        s->node_state[node] = SYNC;
        s->side_leader[side] = voter(m, s, rng, side);
        s->node_state[node] = UP;
        s->ints[CHANGES]++;
    }
    fall(WITH, node, RESTART, PLANNED);
    restart(WITH, node, L_MAINTAIN);
}

static void window_ends(const Model *m, State *s, double now) {
    for (i64 group = 0; group < m->groups; group++) {
        i64 service = m->group_service[group];
        double down = s->window_down[group];
        if (s->group_since[group] >= 0) {
            double from = s->group_since[group] + m->hidden_s[service];
            if (from < s->floats[WINDOW]) from = s->floats[WINDOW];
            if (now > from) down += now - from;
        }
        s->windows[service]++;
        if (down <= m->budget_s) s->windows_met[service]++;
        s->window_down[group] = 0.0;
    }
    s->floats[WINDOW] = now;
}

void live(const Model *m, State *s, bitgen_t *rng, double horizon_s) {
    double rate = m->hazard[2 * m->services + 1];
    double strikes = rate > 0 ? random_standard_exponential(rng) / rate : INFINITY;
    double window = m->window_s > 0 ? m->window_s : INFINITY;
    for (;;) {
        i64 service = 0;
        for (i64 other = 1; other < m->services; other++)
            if (s->turn_at[other] < s->turn_at[service]) service = other;
        double now = fmin(fmin(strikes, window), fmin(s->turn_at[service], horizon_s));
        if (s->ints[SIZE] > 0 && s->heap_at[0] <= now) {
            now = s->heap_at[0];
            i64 key = pop(s), kind = key >> (2 * BITS), which = (key >> BITS) & MASK;
            if ((key & MASK) != version(s, kind, which)) continue;
            if (kind == NODE_DUE) node_due(WITH, which);
            else if (kind == ELECTED) elected(WITH, which);
            else if (kind == GROUP_DUE) group_due(WITH, which);
            else if (kind == BACK_DUE) back_due(WITH, which);
            else if (kind == ZONE_DUE) {
                s->zone_struck[which] = 0;
                lighten(WITH, which);
            } else {
                s->region_struck[which] = 0;
                for (i64 zone = m->region_first[which]; zone < m->region_first[which + 1]; zone++) lighten(WITH, zone);
            }
        } else if (now == strikes) {
            strike(WITH, rate);
            strikes = now + random_standard_exponential(rng) / rate;
        } else if (now == window) {
            window_ends(m, s, now);
            window += m->window_s;
        } else if (now == horizon_s) {
            break;
        } else {
            planned(WITH, service);
        }
    }
    for (i64 group = 0; group < m->groups; group++)
        if (s->group_since[group] >= 0) group_up(m, s, horizon_s, group);
}
