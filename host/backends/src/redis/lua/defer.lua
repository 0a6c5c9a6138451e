-- `Backend::defer`. Arguments: job id, parent, topic, now in ms, limit of messages, run record before or '', run record
-- after, need, '1' if a failure suffices or '', pace, the arguments of `ack`, those of `keep_log`. Then for each child: hash, topic, call record,
-- run record with options or '', '1' for a promise or ''.
--
-- Returns { 'over' }, { 'limit' }, { 'other', index of a child whose hash stands for another call, that call's task },
-- { 'cycle', hash… } or { 'waiting', index of each child that was queued… }.

local job_id, parent, topic, now, limit = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local run_before, run_after, need = ARGV[7], ARGV[8], tonumber(ARGV[9])
local fast, pace = ARGV[10] ~= '', tonumber(ARGV[11])
local seconds = math.floor(now / 1000)
local FIRST, EACH = 18, 5

if is_over(job_id) then return { 'over' } end
-- All checks come before the first write, so that an error leaves nothing half done.
check_topic(topic)
call('HLEN', record(parent))

local me = waiter(job_id, parent, topic)

-- A call that waits for itself directly. This check comes before the call is registered, see `cycle.rs`.
for at = FIRST, #ARGV, EACH do
  if ARGV[at] == parent then return { 'cycle', parent, parent } end
end

-- Must the child's message be sent? Yes in three cases: no parent waits for the child; it is unknown whether its
-- message was sent; this parent waits for it already, but under another job.
local function must_send(p)
  if not p or not p.scheduled then return true end
  if p.is_long then return not p.has_me and p.elsewhere end
  local elsewhere = false
  for _, e in ipairs(p.entries) do
    if e.raw == me.raw then return false end
    if e.parent == parent and e.topic == topic then elsewhere = true end
  end
  return elsewhere
end

-- Reads the facts about the `pending_returns` record that registration needs. If the record is long, the list of
-- parents is not read.
local function registered(hash)
  local s = call('HGET', record(hash), 'pending_returns')
  if not s or byte(s, 1) ~= 42 or not fits(me) then return pending(hash) end
  has_set[hash] = true
  local set, mine = parents(hash), by_parent(job_id, parent, topic)
  local found = { is_long = true, scheduled = long_scheduled(s), has_me = false, elsewhere = false }
  local same = sub(mine, 1, #mine - #job_id)
  found.has_me = call('ZSCORE', set, mine) and true
  for _, member in ipairs(call('ZRANGEBYLEX', set, '[' .. same, '(' .. sub(same, 1, -2) .. '\1', 'LIMIT', 0, 2)) do
    found.elsewhere = found.elsewhere or member ~= mine
  end
  return found
end

-- Is there no parent in this job yet that waits for the call?
local function is_first_of_job(hash)
  local of_job = 'r' .. job_id
  return #call('ZRANGEBYLEX', parents(hash), '[' .. of_job .. '\0', '(' .. of_job .. '\1', 'LIMIT', 0, 1) == 0
end

local children, messages = {}, 0
for at = FIRST, #ARGV, EACH do
  local child = { hash = ARGV[at], topic = ARGV[at + 1], record = ARGV[at + 2], run = ARGV[at + 3] }
  local key = record(child.hash)
  check_topic(child.topic)
  local found, task = compare(child.hash, child.record)
  if found == 'other' then return { 'other', tostring((at - FIRST) / EACH), task } end
  child.described = found == 'same'
  child.known = child.described or call('HEXISTS', key, 'call') == 1
  if child.known then
    child.pending = registered(child.hash)
    if call('HEXISTS', key, 'failure/' .. job_id) == 1 then
      child.ended = 'failure'
    elseif call('HEXISTS', key, 'value') == 1 then
      child.ended = 'value'
    end
  end
  child.send = must_send(child.pending)
  child.is_promise = ARGV[at + 4] ~= ''
  if child.send and not child.ended and not child.is_promise then messages = messages + 1 end
  children[#children + 1] = child
end
if messages > 0 and count(job_id, messages) > limit then return { 'limit' } end

local function register(child)
  local key = record(child.hash)
  if not child.described then call('HSET', key, 'call', child.record) end
  local p = child.pending or { entries = {} }
  local position, added, first_of_job = 1, true, true
  if p.is_long then
    added, first_of_job = not p.has_me, child.run ~= '' and is_first_of_job(child.hash)
  else
    position = #p.entries + 1
    for n = #p.entries, 1, -1 do
      local e = p.entries[n]
      if e.job_id == job_id then first_of_job = false end
      if e.raw == me.raw then added = false end
      if sorted_before(me, e) then position = n end
    end
  end
  if first_of_job and child.run ~= '' then call('HSETNX', key, 'run/' .. job_id, child.run) end
  if child.send then
    if child.ended == 'value' then return notify_all(child.hash, now) end
    if child.ended == 'failure' then
      if p.is_long then
        put_long(child.hash)
      elseif child.pending then
        put_pending(child.hash, { entries = p.entries })
      end
      return notify_in_job(child.hash, job_id, child.topic, now, nil, me)
    end
    if not child.is_promise then send(child.topic, job_id, child.hash) end
  end
  local scheduled = child.send and seconds or p.scheduled
  if p.is_long then
    if added then add_to_set(child.hash, { me }) end
    if child.send then put_long(child.hash, scheduled) end
    return
  end
  if added then table.insert(p.entries, position, me) end
  if added or child.send then put_pending(child.hash, { entries = p.entries, scheduled = scheduled }) end
end

local queued, ended, has_failed, targets, any_target = { 'waiting' }, 0, false, {}, false
for n, child in ipairs(children) do
  register(child)
  if child.send and not child.ended and not child.is_promise then queued[#queued + 1] = n - 1 end
  if child.ended then ended = ended + 1 end
  has_failed = has_failed or child.ended == 'failure'
end

-- Some children may have ended after the guest asked for them and before the parent was registered. So their end notified
-- nobody, and this script must notify the parent.
local is_ready = ended >= need or fast and has_failed
local is_looked_at = not is_ready and pace > 0 and ended > 0
if is_looked_at then run_after = with(run_after, 'look', 'i' .. string.format('%.0f', now + pace) .. 'e') end

keep_log(parent, job_id, ARGV[16], ARGV[17])
local run_key, run_field = record(parent), 'run/' .. job_id
local found = call('HGET', run_key, run_field) or ''
if found == run_before then
  call('HSET', run_key, run_field, run_after)
elseif found ~= '' then
  -- This record holds the options that a parent wrote before the first run of this call. They are kept.
  read('a run record', run_field, parent)
  local function zero(name)
    local at = entry(found, name)
    return not at or int(found, at) == 0
  end
  if zero('first') and zero('total') and zero('attempt') then
    local at = entry(found, 'options')
    call('HSET', run_key, run_field, at and with(run_after, 'options', sub(found, at, skip(found, at) - 1)) or run_after)
  end
end

-- Does a parent of another job wait for the child?
local function has_other_jobs(child)
  local p = child.pending
  if not p then return false end
  if p.is_long then
    -- The set is sorted by job. So the first and the last member suffice.
    local set, of_job = parents(child.hash), 'r' .. job_id .. '\0'
    local first = call('ZRANGEBYLEX', set, '[r', '(s', 'LIMIT', 0, 1)[1]
    local last = call('ZREVRANGEBYLEX', set, '(s', '[r', 'LIMIT', 0, 1)[1]
    local function is_other(member) return member and sub(member, 1, #of_job) ~= of_job end
    return is_other(first) or is_other(last)
  end
  for _, e in ipairs(p.entries) do
    if e.job_id ~= job_id then return true end
  end
  return false
end

-- Finds a call that waits for itself. A cycle can only lead back here through children that may wait themselves: see
-- `may_wait` in `cycle.rs`.
for _, child in ipairs(children) do
  if child.known and (is_waiting(child.hash, job_id) or has_other_jobs(child)) then
    targets[child.hash], any_target = true, true
  end
end
if any_target then
  -- This walk has the same limit and the same order as the one in `cycle.rs`.
  local MAX_READ = 64
  local unread, below, read_so_far = { parent }, {}, 0
  while read_so_far < #unread and read_so_far < MAX_READ do
    read_so_far = read_so_far + 1
    local child = unread[read_so_far]
    local p = pending(child)
    for _, e in ipairs(p and p.entries or {}) do
      -- The entry of a job that has joined the call names no parent.
      local is_parent = e.parent ~= child
      if is_parent and targets[e.parent] then
        local path, seen, at = { 'cycle', e.parent }, { [e.parent] = true }, child
        while at and (#path == 2 or not seen[at]) do
          path[#path + 1], seen[at] = at, true
          at = below[at]
        end
        if path[#path] ~= e.parent then path[#path + 1] = e.parent end
        return path
      end
      if is_parent and not below[e.parent] then
        below[e.parent] = child
        unread[#unread + 1] = e.parent
      end
    end
  end
end

if ended > 0 and is_ready then
  count(job_id, 1)
  send(topic, job_id, parent)
elseif is_looked_at then
  count(job_id, 1)
  send_after(pace, topic, job_id, parent)
end
ack(ARGV[12], ARGV[13], ARGV[14], ARGV[15])
return queued
