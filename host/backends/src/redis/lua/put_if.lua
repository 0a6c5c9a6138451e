-- `Store::put_if`. Arguments: key and field, key and field of a second record that must be absent too, value, then the id
-- and the set of the ids of its kind, or '' and ''. Returns whether the value was put.

local key, field = ARGV[2], ARGV[3]
if call('HEXISTS', key, field) == 1 or call('HEXISTS', ARGV[4], ARGV[5]) == 1 then return 0 end
-- The set comes first: if another program has put something else there, nothing is written.
if ARGV[8] ~= '' then call('ZADD', ARGV[8], 0, ARGV[7]) end
call('HSET', key, field, ARGV[6])
return 1
