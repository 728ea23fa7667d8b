-- The limiter, as one atomic script: everything that decides whether a message may begin stands here.
--
-- KEYS[1]  prefix of all keys. It carries a hash tag, so that in a cluster they stand in one slot and the script may
--          name the rest itself.
-- ARGV[1]  JSON: {lease: ms, settle: ms, at: ms or null, steps: [...]}. `at` is a test's own time; otherwise it is Redis' clock,
--          which is the one clock all workers share. Steps are done in order; each has one answer in the JSON array
--          that comes back.
--
-- What is kept, for each limited thing k:
--   k            hash: how many each window holds, by its length; `last`, when something last began
--   k:<window>   list of "until:count": those `count` messages count until `until` + window
--   k:flight     sorted set: what was granted and has not ended, by when its lease lapses
--   k:pace       what a provider's limit has taught us, as JSON
-- and besides: `epoch` (which rules the counts were rebuilt for), `building` (who rebuilds), `settling` (until when the
-- rebuilt counts may lack what is in flight elsewhere), `paced` (all k with a pace).
--
-- Why no window ever holds more than its limit: a message in flight counts; when it ends it counts for one more window
-- from a moment that is not before its end (times are rounded up). So of all messages sent within any window, those
-- granted before the last one are all counted when the last one is granted. A window marked as one of beginnings (the
-- one-second one) counts from the grant instead.

local prefix = KEYS[1]
local call = cjson.decode(ARGV[1])
local now = call.at
if not now or now == cjson.null then
  local clock = redis.call('TIME')
  now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
end

local PARTS = 200 -- a window's moments are rounded up to one part in so many: what exactness costs in throughput
local POLL_MS = 1000 -- when to look again for a place somebody else will free
local SPARE_MS = 120000

local function whole(number) return string.format('%.0f', number) end

-- the windows

local function drop_passed(k, window)
  local counts, list, field = prefix .. k, prefix .. k .. ':' .. window, tostring(window)
  local total = tonumber(redis.call('HGET', counts, field) or 0)
  local before, oldest = total, nil
  local head = redis.call('LINDEX', list, 0)
  while head do
    local moment, count = head:match('^(%d+):(%d+)$')
    if tonumber(moment) + window > now then oldest = tonumber(moment) break end
    redis.call('LPOP', list)
    total = total - tonumber(count)
    head = redis.call('LINDEX', list, 0)
  end
  if not head then total = 0 end
  if total ~= before then redis.call('HSET', counts, field, whole(total)) end
  return total, oldest
end

local function count_at(k, window, moment, count)
  local list, part = prefix .. k .. ':' .. window, math.max(1, math.floor(window / PARTS))
  moment = math.ceil((moment + 1) / part) * part -- `now` is a whole millisecond, and may be later than it says
  local tail = redis.call('LINDEX', list, -1)
  local last, has = string.match(tail or '', '^(%d+):(%d+)$')
  if last and tonumber(last) >= moment then
    redis.call('LSET', list, -1, last .. ':' .. whole(tonumber(has) + count))
  else
    redis.call('RPUSH', list, whole(moment) .. ':' .. whole(count))
  end
  redis.call('HINCRBY', prefix .. k, tostring(window), whole(count))
end

local function keep_alive(demand)
  local longest = 0
  for _, window in ipairs(demand.windows) do longest = math.max(longest, window[1]) end
  local ttl = whole(longest + call.lease + SPARE_MS)
  redis.call('PEXPIRE', prefix .. demand.k, ttl)
  for _, window in ipairs(demand.windows) do redis.call('PEXPIRE', prefix .. demand.k .. ':' .. window[1], ttl) end
  redis.call('PEXPIRE', prefix .. demand.k .. ':flight', ttl)
end

local function count_ended(demand, count)
  for _, window in ipairs(demand.windows) do
    if not window[3] then count_at(demand.k, window[1], now, count) end
  end
end

-- Whose lease lapsed has ended, nobody knows how: it counts.
local function in_flight(demand)
  local flight = prefix .. demand.k .. ':flight'
  local lapsed = redis.call('ZREMRANGEBYSCORE', flight, '-inf', whole(now))
  if lapsed > 0 then
    count_ended(demand, lapsed)
    keep_alive(demand)
  end
  return redis.call('ZCARD', flight)
end

-- the pace: halved at a provider's limit, growing again in even steps (AIMD), gone when it has grown far beyond it

local function pace_of(k)
  local text = redis.call('GET', prefix .. k .. ':pace')
  if not text then return nil end
  local pace = cjson.decode(text)
  if pace.ends <= now then return nil end
  local minutes = math.max(0, now - pace.paused_until) / 60000
  pace.rate_now = pace.rate and pace.rate + pace.step * minutes
  pace.lines_now = pace.lines and math.floor(pace.lines + minutes)
  return pace
end

-- admitting

local function blocked_by_pace(demand, pace, flying, last)
  if pace.paused_until > now then return {wait = pace.paused_until, why = 'pause', because = pace.because} end
  local lines, rate = pace.lines_now, pace.rate_now
  if demand.leaves > 0 then
    if lines and lines > 1 then lines = lines - math.ceil(lines / demand.leaves) end
    if rate then rate = rate * (1 - 1 / demand.leaves) end
  end
  if lines and flying >= lines then
    return {wait = now + POLL_MS, why = 'lines', limit = lines, because = pace.because}
  end
  if rate and last then
    local free = last + math.ceil(60000 / rate)
    if free > now then return {wait = free, why = 'pace', limit = rate, because = pace.because} end
  end
end

local function blocked_by_window(demand, flying)
  local worst = nil
  for _, window in ipairs(demand.windows) do
    local length, limit, of_beginnings = window[1], window[2], window[3]
    local used, oldest = drop_passed(demand.k, length)
    if not of_beginnings then used = used + flying end
    if used >= limit then
      local free = oldest and oldest + length or now + math.min(length, POLL_MS)
      if not worst or free > worst.wait then
        worst = {wait = free, why = 'window', window = length, limit = limit, used = used, since = oldest}
      end
    end
  end
  return worst
end

local function blocked_by(demand)
  local flying = in_flight(demand)
  local last = tonumber(redis.call('HGET', prefix .. demand.k, 'last') or nil)
  local worst = blocked_by_window(demand, flying)
  local function weigh(other)
    if other and (not worst or other.wait > worst.wait) then worst = other end
  end
  if demand.gap > 0 and last and last + demand.gap > now then
    weigh({wait = last + demand.gap, why = 'gap', limit = demand.gap})
  end
  if demand.connections > 0 and flying >= demand.connections then
    weigh({wait = now + POLL_MS, why = 'connections', limit = demand.connections})
  end
  local pace = pace_of(demand.k)
  if pace then weigh(blocked_by_pace(demand, pace, flying, last)) end
  return worst
end

local function take(step, demand)
  redis.call('HSET', prefix .. demand.k, 'last', whole(now))
  redis.call('ZADD', prefix .. demand.k .. ':flight', whole(now + call.lease), step.id)
  for _, window in ipairs(demand.windows) do
    if window[3] then count_at(demand.k, window[1], now, 1) end
  end
  keep_alive(demand)
end

-- Counts that may be missing something are rebuilt from PostgreSQL first, by one of us. When there were none at all, what
-- is in flight is forgotten too: every worker names its own again with the next renewal, and so long nothing is granted.
local function rebuild_first(step)
  if step.version < 0 then return nil end
  local epoch = tonumber(redis.call('GET', prefix .. 'epoch') or nil)
  if epoch and epoch >= step.version then
    local settled = tonumber(redis.call('GET', prefix .. 'settling') or nil)
    if settled and settled > now then return {wait = settled, why = 'building'} end
    return nil
  end
  if redis.call('SET', prefix .. 'building', step.id, 'NX', 'PX', '15000') then return {rebuild = step.id} end
  return {wait = now + POLL_MS, why = 'building'}
end

local does = {}

-- {op, id, version, demands: [{k, connections, gap, windows: [[length, limit, of_beginnings], ...], leaves}, ...]}
-- `leaves`: one part in so many of a pace is left to others; 0 leaves nothing (windows and the rest say it themselves).
-- All or nothing. `version` is that of the rules; below zero where the demands have no windows.
function does.admit(step)
  local building = rebuild_first(step)
  if building then return building end
  local worst = nil
  for number, demand in ipairs(step.demands) do
    local blocked = blocked_by(demand)
    if blocked then
      blocked.demand = number - 1
      if not worst or blocked.wait > worst.wait then worst = blocked end
    end
  end
  if worst then
    worst.at = now
    return worst
  end
  for _, demand in ipairs(step.demands) do take(step, demand) end
  return {granted = true, at = now}
end

-- {op, id, demands, used}: it has ended, and counts where a message was begun. Where the grant is unknown (Redis was
-- flushed, or the lease lapsed) it counts again: too much is safe.
function does.release(step)
  for _, demand in ipairs(step.demands) do
    redis.call('ZREM', prefix .. demand.k .. ':flight', step.id)
    if step.used then
      count_ended(demand, 1)
      keep_alive(demand)
    end
  end
  return {}
end

-- {op, id, demands}: it goes on. A grant that is unknown by now is in flight all the same.
function does.renew(step)
  for _, demand in ipairs(step.demands) do
    redis.call('ZADD', prefix .. demand.k .. ':flight', whole(now + call.lease), step.id)
    keep_alive(demand)
  end
  return {}
end

-- {op, id, version, logs: [[k, window, [[age_ms, count], ...oldest first]], ...]}: what PostgreSQL knows replaces what
-- was counted. Only by whoever was told to rebuild, and only while nobody else was.
function does.install(step)
  if redis.call('GET', prefix .. 'building') ~= step.id then return {installed = false} end
  for _, log in ipairs(step.logs) do
    local k, window = log[1], log[2]
    redis.call('DEL', prefix .. k .. ':' .. window)
    redis.call('HDEL', prefix .. k, tostring(window))
    for _, entry in ipairs(log[3]) do count_at(k, window, now - entry[1], entry[2]) end
    local ttl = whole(window + call.lease + SPARE_MS)
    redis.call('PEXPIRE', prefix .. k .. ':' .. window, ttl)
    redis.call('PEXPIRE', prefix .. k, whole(86400000 + SPARE_MS))
  end
  if call.settle > 0 and redis.call('EXISTS', prefix .. 'epoch') == 0 then
    redis.call('SET', prefix .. 'settling', whole(now + call.settle), 'PX', whole(call.settle + SPARE_MS))
  end
  redis.call('SET', prefix .. 'epoch', whole(step.version))
  redis.call('DEL', prefix .. 'building')
  return {installed = true}
end

-- {op}: counts may be missing something: messages were sent that Redis was not asked about.
function does.forget()
  redis.call('DEL', prefix .. 'epoch', prefix .. 'building')
  return {}
end

-- {op, k, pause, stated, slower: 'rate' | 'lines' | '', measured, flying, because, policy: {...}}
-- A provider said that it has had enough. Many conversations meet one limit: within a pause only a longer one counts.
function does.feedback(step)
  local policy, key = step.policy, prefix .. step.k .. ':pace'
  local old = pace_of(step.k)
  if old and old.paused_until > now then
    if step.stated and now + step.pause > old.paused_until then
      old.ends = old.ends + now + step.pause - old.paused_until
      old.paused_until, old.because = now + step.pause, step.because
    end
    redis.call('SET', key, cjson.encode(old), 'PX', whole(old.ends - now + SPARE_MS))
    return {paused_until = old.paused_until}
  end
  local again = old and now - old.paused_until < policy.calm_ms
  local hits = again and old.hits + 1 or 1
  local pause = step.pause
  if not step.stated then pause = math.min(pause * 2 ^ (hits - 1), math.max(pause, policy.longest_pause_ms)) end
  local pace = {hits = hits, since = now, paused_until = now + pause, because = step.because}
  pace.ends = pace.paused_until + policy.calm_ms
  local function keep(minutes) pace.ends = math.max(pace.ends, pace.paused_until + minutes * 60000) end
  pace.rate, pace.step = old and old.rate_now, old and old.step
  pace.lines = old and old.lines_now
  if step.slower == 'rate' then
    local met_at = math.max(policy.least_rate, math.min(old and old.rate_now or math.huge, step.measured))
    pace.rate, pace.step = math.max(policy.least_rate, met_at / 2), math.max(policy.least_rate, met_at / 10)
    keep((policy.lifted_at * met_at - pace.rate) / pace.step)
  elseif step.slower == 'lines' then
    local flying = math.max(step.flying, redis.call('ZCARD', prefix .. step.k .. ':flight'))
    local met_at = math.max(1, math.min(old and old.lines_now or math.huge, flying))
    pace.lines = math.max(1, math.floor(met_at / 2))
    keep(policy.lifted_at * met_at - pace.lines)
  end
  redis.call('SET', key, cjson.encode(pace), 'PX', whole(pace.ends - now + SPARE_MS))
  redis.call('ZADD', prefix .. 'paced', whole(pace.ends), step.k)
  return {paused_until = pace.paused_until}
end

-- {op}: all that has a pace now, for the processes to know without asking each time.
function does.paced()
  redis.call('ZREMRANGEBYSCORE', prefix .. 'paced', '-inf', whole(now))
  return {keys = redis.call('ZRANGE', prefix .. 'paced', 0, -1), at = now}
end

-- {op, demands}: how much of each is used, for people.
function does.usage(step)
  local used = {}
  for number, demand in ipairs(step.demands) do
    local flying, windows = in_flight(demand), {}
    for place, window in ipairs(demand.windows) do
      local total, oldest = drop_passed(demand.k, window[1])
      windows[place] = {window[1], window[3] and total or total + flying, oldest or 0}
    end
    used[number] = {flying = flying, windows = windows, pace = pace_of(demand.k)}
  end
  return {used = used, at = now, rebuilt = redis.call('EXISTS', prefix .. 'epoch') == 1}
end

local answers = {}
for number, step in ipairs(call.steps) do answers[number] = does[step.op](step) end
return cjson.encode(answers)
