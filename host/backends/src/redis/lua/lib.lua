-- What the scripts share: keys, bencode, the records that they look into. Written before each of them by `scripts.rs`.
--
-- ARGV[1] is the namespace's prefix of every key; the script's own arguments begin at ARGV[2].

local P = ARGV[1]
local byte, sub, find = string.byte, string.sub, string.find

-- What stands in `error.rs` too.
local OF_OTHERS = 'another program has put something else there; look at it, and delete the key'

-- A command. An error names its key: the server's own says only that the type is wrong.
local function call(...)
  local answer = redis.pcall(...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  local _, key = ...
  if not find(answer.err, 'WRONGTYPE', 1, true) then error(answer.err, 0) end
  if find(key, '^brrr:call:', #P + 1) or find(key, '^brrr:job:', #P + 1) then
    error('MALFORMED the records at the key ' .. key .. ': ' .. OF_OTHERS, 0)
  end
  error('WRONGKEY ' .. key, 0)
end

local function record(hash) return P .. 'brrr:call:' .. hash end
local function job_record(root) return P .. 'brrr:job:' .. root end

-- Bytes of outcomes that are read at once: `ports::MOST_AT_ONCE`.
local MOST_AT_ONCE = 67108864

-- Fields of the records of a call; what `get` in `store.rs` returns where another program has put something else: nothing
-- that decodes, and no value.
local function fields(key, ...)
  local found = redis.pcall('HMGET', key, ...)
  if not found.err then return found end
  if not find(found.err, 'WRONGTYPE', 1, true) then error(found.err, 0) end
  local foreign = {}
  for n, name in ipairs({ ... }) do
    foreign[n] = name ~= 'value' and '\255' .. 'the key ' .. key .. ' holds no records: ' .. OF_OTHERS
  end
  return foreign
end

local function size(pair) return (pair[1] and #pair[1] or 0) + (pair[2] and #pair[2] or 0) end

-- Bencode ---------------------------------------------------------------------------------------------------------

-- What is being read, for the message about damage.
local reading = ''

local function damaged(why) error('MALFORMED ' .. reading .. ': ' .. why, 0) end

-- Says which record is read, as `Error::of` does.
local function read(what, kind, id) reading = what .. ' (' .. kind .. ' of ' .. id .. ')' end

-- What `look` returns; `otherwise`, if a record that it reads is damaged.
local function unless_damaged(otherwise, look, ...)
  local found, answer = pcall(look, ...)
  if found then return answer end
  if type(answer) == 'string' and sub(answer, 1, 10) == 'MALFORMED ' then return otherwise end
  error(answer, 0)
end

-- The text that begins at `i`, and where the next value begins. Digits alone are a length: with a sign, for one, reading
-- would go back and never end, and the server with it.
local function text(s, i)
  local _, colon, digits = find(s, '^(%d+):', i)
  local length = colon and tonumber(digits)
  if not length or colon + length > #s then damaged('no text at byte ' .. i) end
  return sub(s, colon + 1, colon + length), colon + length + 1
end

-- Of UTF-8 (RFC 3629): a first byte from which on this holds, how many more there are, the least and the most that the
-- second one may be.
local SEQUENCES = {
  { 194, 1, 128, 191 }, { 224, 2, 160, 191 }, { 225, 2, 128, 191 }, { 237, 2, 128, 159 }, { 238, 2, 128, 191 },
  { 240, 3, 144, 191 }, { 241, 3, 128, 191 }, { 244, 3, 128, 143 }, { 245 },
}

local function is_utf8(s)
  local i = find(s, '[\128-\255]')
  while i and i <= #s do
    local c, more, least, most = byte(s, i), 0, nil, nil
    if c >= 128 then
      local sequence = {}
      for _, from in ipairs(SEQUENCES) do
        if c >= from[1] then sequence = from end
      end
      more, least, most = sequence[2], sequence[3], sequence[4]
      if not more then return false end
    end
    for n = 1, more do
      local b = byte(s, i + n) or 0
      if b < least or b > most then return false end
      least, most = 128, 191
    end
    i = i + more + 1
  end
  return true
end

-- As `text`; a name of a job, a call or a topic.
local function name(s, i)
  local found, after = text(s, i)
  if not is_utf8(found) then damaged('a name is not UTF-8 at byte ' .. i) end
  return found, after
end

-- The integer that begins at `i`, and where the next value begins.
local function int(s, i)
  local _, stop, digits = find(s, '^i(%-?%d+)e', i)
  if not stop then damaged('no integer at byte ' .. i) end
  return tonumber(digits), stop + 1
end

-- As deep as `bencode.rs` goes.
local MAX_DEPTH = 16

-- Where the value behind the one at `i` begins.
local function skip(s, i, depth)
  local c = byte(s, i)
  if c == 108 or c == 100 then -- l, d
    depth = (depth or 0) + 1
    if depth > MAX_DEPTH then damaged('nested too deeply at byte ' .. i) end
    i = i + 1
    while byte(s, i) ~= 101 do i = skip(s, i, depth) end
    return i + 1
  end
  local _, after
  if c == 105 then _, after = int(s, i) else _, after = text(s, i) end
  return after
end

local function encoded(s) return #s .. ':' .. s end

-- Where the value of `key` in the dictionary `s` begins; nil: it has none.
local function entry(s, key)
  if byte(s, 1) ~= 100 then damaged('no dictionary') end
  local i = 2
  while byte(s, i) ~= 101 do
    local found
    found, i = text(s, i)
    if found == key then return i end
    i = skip(s, i)
  end
end

-- Is `a` before `b` in the order of bytes? (`<` is that of the server's language.)
local function before(a, b)
  local length = math.min(#a, #b)
  for i = 1, length do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- The dictionary `s` with `key` set to a bencoded value. Its keys stand in order.
local function with(s, key, value)
  local i = 2
  while byte(s, i) ~= 101 do
    local start, found = i, nil
    found, i = text(s, i)
    if found == key then return sub(s, 1, i - 1) .. value .. sub(s, skip(s, i)) end
    if before(key, found) then return sub(s, 1, start - 1) .. encoded(key) .. value .. sub(s, start) end
    i = skip(s, i)
  end
  return sub(s, 1, i - 1) .. encoded(key) .. value .. sub(s, i)
end

-- What a call is ------------------------------------------------------------------------------------------------

local function described(s)
  read('a call record', 'call', '')
  local task, payload = entry(s, 'task_name'), entry(s, 'payload')
  if not task or not payload then damaged('no task or payload') end
  return { task = name(s, task), payload = (text(s, payload)) }
end

-- Compares the `call` record that is there with the one of a call that is asked for, see `identity.rs` -> 'new': it is to be
-- written; 'same'; or 'other' and the task that the hash stands for.
local function compare(hash, asked)
  local found = call('HGET', record(hash), 'call')
  if not found then return 'new' end
  if found == asked then return 'same' end
  local there = unless_damaged(nil, described, found)
  if not there then return 'new' end
  local wanted = described(asked)
  if there.task == wanted.task and there.payload == wanted.payload then return 'same' end
  return 'other', there.task
end

-- Who waits for a call --------------------------------------------------------------------------------------------

local function waiter(root, parent, topic)
  return { root = root, parent = parent, topic = topic, raw = 'li1e' .. encoded(root) .. encoded(parent) .. encoded(topic) .. 'e' }
end

-- Does `a` stand before `b` in the record?
local function sorted_before(a, b)
  if a.root ~= b.root then return before(a.root, b.root) end
  if a.parent ~= b.parent then return before(a.parent, b.parent) end
  return before(a.topic, b.topic)
end

-- The most parents that the record `pending_returns` itself lists. Of a call with more, the record is '*' and `scheduled_at`,
-- and the parents are members of a sorted set. So it costs no more to add one when there are more. Each is there twice: 'r',
-- root, parent, topic, in the order of the record; and 'p', parent, topic, root. `store.rs` shows the record in its usual form.
local MOST_LISTED = 64

local function parents(hash) return P .. 'brrr:parents:' .. hash end

-- The calls of which a sorted set of parents was seen.
local has_set = {}

local function by_root(root, parent, topic) return 'r' .. root .. '\0' .. parent .. '\0' .. topic end
local function by_parent(root, parent, topic) return 'p' .. parent .. '\0' .. topic .. '\0' .. root end

-- Can these names be told apart in a member of the set?
local function fits(e) return not find(e.raw, '\0', 1, true) end

-- Of a record that begins with '*': the time at which the call's message was sent, if that is known.
local function long_scheduled(s) return tonumber(sub(s, 2)) end

local function listed(hash)
  has_set[hash] = true
  local entries = {}
  for n, member in ipairs(call('ZRANGEBYLEX', parents(hash), '[r', '(s')) do
    local first = find(member, '\0', 2, true)
    local second = find(member, '\0', first + 1, true)
    entries[n] = waiter(sub(member, 2, first - 1), sub(member, first + 1, second - 1), sub(member, second + 1))
  end
  if #entries == 0 then damaged('the list of the parents is gone') end
  return entries
end

-- The record `pending_returns` of a call, or that of another kind with the same contents; nil: nobody waits.
local function pending(hash, kind)
  kind = kind or 'pending_returns'
  local s = call('HGET', record(hash), kind)
  if not s then return nil end
  read('a pending_returns record', kind, hash)
  if kind == 'pending_returns' and byte(s, 1) == 42 then return { entries = listed(hash), scheduled = long_scheduled(s) } end
  local i = entry(s, 'returns')
  if not i or byte(s, i) ~= 108 then damaged('`returns` is not a list') end
  local entries = {}
  i = i + 1
  while byte(s, i) ~= 101 do
    if sub(s, i, i + 3) ~= 'li1e' then damaged('an entry is not [1, root, parent, topic]') end
    local root, parent, topic
    root, i = name(s, i + 4)
    parent, i = name(s, i)
    topic, i = name(s, i)
    if byte(s, i) ~= 101 then damaged('an entry is not [1, root, parent, topic]') end
    i = i + 1
    entries[#entries + 1] = waiter(root, parent, topic)
  end
  local at, scheduled = entry(s, 'scheduled_at'), nil
  if at then scheduled = int(s, at) end
  -- Python writes 0 where it doesn't know.
  if scheduled == 0 then scheduled = nil end
  return { entries = entries, scheduled = scheduled }
end

-- The bytes of the record, as peers write them.
local function encoded_pending(p)
  local raw = {}
  for n, e in ipairs(p.entries) do raw[n] = e.raw end
  local scheduled = p.scheduled and ('12:scheduled_ati' .. string.format('%d', p.scheduled) .. 'e') or ''
  return 'd7:returnsl' .. table.concat(raw) .. 'e' .. scheduled .. 'e'
end

local function put_long(hash, scheduled)
  call('HSET', record(hash), 'pending_returns', '*' .. (scheduled and string.format('%d', scheduled) or ''))
end

local function add_to_set(hash, entries)
  for from = 1, #entries, 1000 do
    local members = {}
    for n = from, math.min(from + 999, #entries) do
      local e = entries[n]
      members[#members + 1], members[#members + 2] = 0, by_root(e.root, e.parent, e.topic)
      members[#members + 1], members[#members + 2] = 0, by_parent(e.root, e.parent, e.topic)
    end
    call('ZADD', parents(hash), unpack(members))
  end
end

-- Removes the set of a call's parents, if there is one. `pending` was read before.
local function drop_set(hash)
  if has_set[hash] then call('UNLINK', parents(hash)) end
  has_set[hash] = nil
end

local function put_pending(hash, p, kind)
  if kind then return call('HSET', record(hash), kind, encoded_pending(p)) end
  drop_set(hash)
  local is_long = #p.entries > MOST_LISTED
  for _, e in ipairs(is_long and p.entries or {}) do is_long = is_long and fits(e) end
  if not is_long then return call('HSET', record(hash), 'pending_returns', encoded_pending(p)) end
  put_long(hash, p.scheduled)
  add_to_set(hash, p.entries)
end

local function remove_pending(hash, ...)
  call('HDEL', record(hash), 'pending_returns', ...)
  drop_set(hash)
end

-- Messages and counters -------------------------------------------------------------------------------------------

-- May messages go to a topic? What peers' records name may be a key of ours, or hold what another program has put there.
local destinations = {}
local function takes_messages(topic)
  if destinations[topic] == nil then
    local of_ours = find(topic, 'brrr:', 1, true) or find(topic, 'brrr_count/', 1, true)
    local held = not of_ours and call('TYPE', P .. topic).ok
    destinations[topic] = held == 'list' or held == 'none'
  end
  return destinations[topic]
end

-- Before anything is written: may messages go to a topic that a call or a client chose?
local function check_topic(topic)
  if not takes_messages(topic) then error('WRONGKEY ' .. P .. topic, 0) end
end

-- Where no message can go none is sent: that must not keep a call from ending.
local function send(topic, root, hash)
  if takes_messages(topic) then call('RPUSH', P .. topic, 'li2e' .. encoded(root) .. encoded(hash) .. 'e') end
end

-- Counts messages of a job; returns how many there are by now. A counter that is none is replaced: it may be lost without
-- harm, and a transition must not end in its middle.
local function count(root, n)
  local key = P .. 'brrr_count/' .. root
  local counted = redis.pcall('INCRBY', key, n)
  if type(counted) == 'number' then return counted end
  local err = counted.err
  if not (find(err, 'WRONGTYPE', 1, true) or find(err, 'not an integer', 1, true) or find(err, 'overflow', 1, true)) then
    error(err, 0)
  end
  call('SET', key, n)
  return n
end

-- How often a message came back, for its next delivery. A peer may be the next to take it, and tells nobody: so this is kept
-- for a day, and thrown away when there is too much of it.
local function remember_receives(topic, body, receives)
  local key = P .. 'brrr:receives:' .. topic
  if call('HLEN', key) >= 10000 then call('DEL', key) end
  call('HSET', key, body, receives)
  call('EXPIRE', key, 86400)
end

-- Forgets a delivered message: of this worker, of this number, and what is remembered of its earlier deliveries.
local function ack(worker, number, topic, body)
  if number == '' then return end
  call('HDEL', P .. 'brrr:held:' .. worker, number)
  call('ZREM', P .. 'brrr:leases', worker .. '/' .. number)
  if topic ~= '' then call('HDEL', P .. 'brrr:receives:' .. topic, body) end
end

-- Outcomes and jobs -----------------------------------------------------------------------------------------------

local function has_outcome(hash, root)
  local key = record(hash)
  return call('HEXISTS', key, 'value') == 1 or call('HEXISTS', key, 'failure/' .. root) == 1
end

-- Does a run record say that its call waits for others? See `cycle.rs`.
local function is_waiting(hash, root)
  local s = call('HGET', record(hash), 'run/' .. root)
  if not s then return false end
  return unless_damaged(true, function()
    local total = entry(s, 'total')
    return total ~= nil and int(s, total) > 0
  end)
end

-- Has a parent enough outcomes to be worth running? nil: no run has written a record. `ended`: a call that is about to have
-- an outcome. See `records/waiting.rs`.
local function by_record(parent, ended)
  local s = call('HGET', record(parent.parent), 'run/' .. parent.root)
  if not s then return nil end
  read('a run record', 'run/' .. parent.root, parent.parent)
  if byte(s, 1) ~= 100 then damaged('no dictionary') end
  local total, need, named, names, was_run = 0, 0, 0, nil, false
  local i = 2
  while not names and byte(s, i) ~= 101 do
    local key
    key, i = text(s, i)
    if key == 'attempt' or key == 'first' then
      local n
      n, i = int(s, i)
      was_run = was_run or n ~= 0
    elseif key == 'named' then
      named, i = int(s, i)
    elseif key == 'need' then
      need, i = int(s, i)
    elseif key == 'total' then
      total, i = int(s, i)
    elseif key == 'v' then
      local v
      v, i = int(s, i)
      if v ~= 1 then damaged('its version is ' .. v .. '; this program knows 1') end
    elseif key == 'waits' then
      names = i + 1
    else
      i = skip(s, i)
    end
  end
  if need > total then damaged('it needs ' .. need .. ' of ' .. total .. ' calls') end
  local left, allowed = named, total - need
  while names and allowed >= 0 and left > allowed and byte(s, names) ~= 101 do
    local hash
    hash, names = name(s, names)
    left = left - 1
    -- Where nobody waits for a call it has ended, see `stepwise/wake.rs`.
    if hash ~= ended and not has_outcome(hash, parent.root) and call('HEXISTS', record(hash), 'pending_returns') == 1 then
      allowed = allowed - 1
    end
  end
  if not was_run and total == 0 then return nil end
  return allowed >= 0
end

-- A record that can't be read: it is the parent's, whose own message then finds and reports it.
local function is_ready(parent, ended) return unless_damaged(true, by_record, parent, ended) end

-- Those of `entries` who have enough outcomes, and those that no record tells of.
local function ready_ones(entries, ended)
  local ready, unknown = {}, {}
  for _, parent in ipairs(entries) do
    local is = is_ready(parent, ended)
    if is then ready[#ready + 1] = parent end
    if is == nil then unknown[#unknown + 1] = parent end
  end
  return ready, unknown
end

local function wake(ready)
  local counts = {}
  for _, parent in ipairs(ready) do
    send(parent.topic, parent.root, parent.parent)
    counts[parent.root] = (counts[parent.root] or 0) + 1
  end
  for root, n in pairs(counts) do count(root, n) end
end

-- Everybody who waits for a call that has its value, or is about to. Reads all before it writes.
local function wake_all(hash, write)
  local ready = {}
  for _, kind in ipairs({ 'pending_returns', 'unnotified' }) do
    local p = pending(hash, kind)
    if p then
      local known, unknown = ready_ones(p.entries, hash)
      ready[#ready + 1], ready[#ready + 2] = known, unknown
    end
  end
  if write then write() end
  if #ready == 0 then return end
  for _, parents in ipairs(ready) do wake(parents) end
  remove_pending(hash, 'unnotified')
end

-- Adds parents to those that a failure of the call did not notify.
local function keep_unnotified(kept, hash, parents)
  local entries = kept and kept.entries or {}
  for _, parent in ipairs(parents) do
    local place, is_new = #entries + 1, true
    for n = #entries, 1, -1 do
      if entries[n].raw == parent.raw then is_new = false end
      if sorted_before(parent, entries[n]) then place = n end
    end
    if is_new then table.insert(entries, place, parent) end
  end
  put_pending(hash, { entries = entries }, 'unnotified')
end

-- Who waits under `root` for a call that failed there, or is about to. The others stay, and the call is queued again
-- under one of their jobs (R2): the next one in turn, see `PendingReturns::next_in_turn`. Parents that no record tells of are
-- kept for a later value, see `stepwise/wake.rs`; but for `ourselves`, who sees to itself.
local function wake_in_job(hash, root, topic, write, ourselves)
  local p = pending(hash)
  local mine, kept = {}, {}
  for _, e in ipairs(p and p.entries or {}) do
    local side = e.root == root and mine or kept
    if not ourselves or e.raw ~= ourselves.raw then side[#side + 1] = e end
  end
  local parents_of_job, is_elsewhere = {}, false
  for _, e in ipairs(mine) do
    if e.parent ~= hash then parents_of_job[#parents_of_job + 1] = e else is_elsewhere = true end
  end
  local ready, unknown = ready_ones(parents_of_job, hash)
  local unnotified = #unknown > 0 and pending(hash, 'unnotified')
  if write then write() end
  if not p then return end
  wake(ready)
  if #unknown > 0 then keep_unnotified(unnotified, hash, unknown) end
  if #kept == 0 then
    remove_pending(hash)
  elseif is_elsewhere then
    -- The job had only joined the call: another one has the call's message.
    put_pending(hash, { entries = kept, scheduled = p.scheduled })
  else
    local turn = kept[1]
    for _, e in ipairs(kept) do
      if before(root, e.root) then
        turn = e
        break
      end
    end
    count(turn.root, 1)
    -- A job that had joined the call has its message now, and does not wait any more: `joining.rs`.
    send(turn.parent == hash and turn.topic or topic, turn.root, hash)
    local left = {}
    for _, e in ipairs(kept) do
      if e.root ~= turn.root or e.parent ~= hash then left[#left + 1] = e end
    end
    if #left == 0 then
      remove_pending(hash)
    else
      put_pending(hash, { entries = left, scheduled = p.scheduled })
    end
  end
end

-- How a call that has an outcome ended in a job: a failure counts even if a value came after it (R1).
local function end_in_job(hash, root)
  local failure = call('HGET', record(hash), 'failure/' .. root)
  if not failure then return 'completed' end
  local kind = unless_damaged(nil, function()
    local at = entry(failure, 'kind')
    return at and text(failure, at)
  end)
  return kind == 'cancelled' and 'cancelled' or kind == 'timeout' and 'timed-out' or 'failed'
end

local function is_over(root)
  local job = call('HGET', job_record(root), 'job')
  read('a job record', 'job', root)
  return job and entry(job, 'state') ~= nil
end

-- Before anything is written: can the job's record be read? `ended`: '', if the script has no use for it.
local function check_job(root, ended)
  if ended ~= '' then is_over(root) end
end

-- Writes down how a job ended, if it is one of ours and alive.
local function mark_over(root, state, at)
  local job = call('HGET', job_record(root), 'job')
  read('a job record', 'job', root)
  if not job or entry(job, 'state') then return end
  job = with(with(job, 'state', encoded(state)), 'ended', 'i' .. at .. 'e')
  call('HSET', job_record(root), 'job', job)
end
