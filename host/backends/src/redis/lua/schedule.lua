-- `Backend::schedule`. Arguments: hash, job id, topic, records of the call, of the job and `latest_job` (before its message
-- is sent, and after), the client's time, milliseconds until the job's deadline or '' (no deadline) and the message for
-- the deadline, milliseconds until the job's start or '' (now) and the message for the start. These messages are in the
-- format of delayed messages. The rest are the sets of jobs that the job is in (`keys.rs`). Returns 'queued', 'done', 'taken' (the id belongs to a job of another call), or { task }:
-- the hash stands for a call of that task.

local hash, job_id, topic, now, left, last = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[9]), ARGV[10], ARGV[11]
local wait, first = ARGV[12], ARGV[13]
local is_delayed = wait ~= ''
-- All checks come before the first write, so that an error leaves nothing half done.
check_topic(topic)
local found, task = compare(hash, ARGV[5])
if found == 'other' then return { task } end
call('HEXISTS', record(hash), 'value')
is_over(job_id)
if left ~= '' or is_delayed then call('ZCARD', P .. 'brrr:delayed:' .. topic) end

-- A job can join a call whose message is already sent: `joining.rs`.
local me = waiter(job_id, hash, topic)
local set, mine = parents(hash), by_parent(job_id, hash, topic)

-- Reads the facts about the call's `pending_returns` record that joining needs. If the record is long, the list of
-- parents is not read. A damaged record makes the call fail later, when its message is delivered.
local function registered()
  local s = call('HGET', record(hash), 'pending_returns')
  if s and byte(s, 1) == 42 and fits(me) then
    has_set[hash] = true
    return { is_long = true, scheduled = long_scheduled(s), has_me = call('ZSCORE', set, mine) and true }
  end
  local p = pending(hash) or { entries = {} }
  for _, e in ipairs(p.entries) do p.has_me = p.has_me or e.raw == me.raw end
  return p
end

-- Is the message of the previous job of this call still on its way? Then this job can join the call.
local function latest_job_carries(latest)
  local other = latest and entry(latest, 'sent') and entry(latest, 'job')
  other = other and text(latest, other)
  if not other or other == job_id then return false end
  local job = call('HGET', job_record(other), 'job')
  if not job or entry(job, 'state') then return false end
  local deadline, of, on = entry(job, 'deadline'), entry(job, 'call'), entry(job, 'topic')
  if deadline and int(job, deadline) > 0 and int(job, deadline) <= now then return false end
  if not of or not on or text(job, of) ~= hash or text(job, on) ~= topic then return false end
  local run = call('HGET', record(hash), 'run/' .. other)
  local not_before = run and entry(run, 'not_before')
  if not_before and int(run, not_before) > now then return false end
  return call('HEXISTS', record(hash), 'failure/' .. other) == 0
end

-- Do workers of this program handle the task on its topic?
local function is_announced()
  local tasks = redis.pcall('HGET', P .. 'brrr:topic:' .. topic, 'tasks')
  if type(tasks) ~= 'string' then return false end
  local task, i = described(ARGV[5]).task, entry(tasks, 'tasks')
  i = i and byte(tasks, i) == 108 and i + 1 or #tasks
  while byte(tasks, i) ~= 101 do
    local name
    name, i = text(tasks, i)
    if name == task then return true end
  end
  return false
end

-- Does the record say that the message of this job was sent, or that the job has joined its call?
local function says_sent(latest)
  local of = latest and (entry(latest, 'sent') or entry(latest, 'later')) and entry(latest, 'job')
  return of and text(latest, of) == job_id
end

local p = unless_damaged(nil, registered)
local latest = call('HGET', record(hash), 'latest_job')
local carried = unless_damaged(false, latest_job_carries, latest)

local function put_latest_job(is_sent)
  call('HSET', record(hash), 'latest_job', is_sent and ARGV[8] or ARGV[7])
end

if found == 'new' then call('HSET', record(hash), 'call', ARGV[5]) end
local is_new = false
-- The job record is never replaced: a client that repeats its request must not revive a job that is over.
if call('HSETNX', job_record(job_id), 'job', ARGV[6]) == 1 then
  -- The job's position in the order of acceptance: microseconds, greater than all other positions. (Formatted as text,
  -- because Lua would lose digits of the number.)
  local time, jobs = call('TIME'), P .. 'brrr:jobs'
  local position, last = time[1] * 1000000 + time[2], call('ZREVRANGE', jobs, 0, 0, 'WITHSCORES')
  if last[2] and tonumber(last[2]) >= position then position = tonumber(last[2]) + 1 end
  position = string.format('%.0f', position)
  call('ZADD', jobs, 'NX', position, job_id)
  for n = 14, #ARGV do call('ZADD', ARGV[n], position, job_id) end
  is_new = true
end
if not is_new then
  local job = call('HGET', job_record(job_id), 'job')
  local of = entry(job, 'call')
  if not of or text(job, of) ~= hash then
    return 'taken'
  end
end
if is_over(job_id) then
  put_latest_job(false)
  return 'done'
end
if call('HEXISTS', record(hash), 'value') == 1 then
  put_latest_job(false)
  mark_over(job_id, end_in_job(hash, job_id), ARGV[9])
  return 'done'
end
-- Another message could run the call a second time, while a worker runs it.
if not is_new and unless_damaged(false, says_sent, latest) then return 'queued' end
put_latest_job(true)
-- A job that starts later joins nothing.
if is_delayed then p = nil end

local has_joined = p and p.has_me and p.scheduled
if p and p.has_me and not p.scheduled then
  -- An earlier multi-step attempt got this far. Now this job sends the call's message. So it does not wait for the
  -- message of another job.
  local left = {}
  for _, e in ipairs(pending(hash).entries) do
    if e.raw ~= me.raw then left[#left + 1] = e end
  end
  if #left == 0 then remove_pending(hash) else put_pending(hash, { entries = left }) end
elseif p and not has_joined and is_new and (p.scheduled or carried) and unless_damaged(false, is_announced) then
  has_joined = true
  local scheduled = p.scheduled or math.floor(now / 1000)
  if p.is_long then
    add_to_set(hash, { me })
    if not p.scheduled then put_long(hash, scheduled) end
  else
    local position = #p.entries + 1
    for n = #p.entries, 1, -1 do
      if sorted_before(me, p.entries[n]) then position = n end
    end
    table.insert(p.entries, position, me)
    put_pending(hash, { entries = p.entries, scheduled = scheduled })
  end
end
local messages = (has_joined and 0 or 1) + (left == '' and 0 or 1)
if messages > 0 then count(job_id, messages) end
if is_delayed then
  delay(topic, wait, first)
elseif not has_joined then
  send(topic, job_id, hash)
end
if left == '0' then
  send(topic, job_id, hash)
elseif left ~= '' then
  delay(topic, left, last)
end
return 'queued'
