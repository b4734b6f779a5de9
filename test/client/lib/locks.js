'use strict';
// Somebody holds an ACCESS EXCLUSIVE lock for long.
const { withTable, connect, sql } = require('./sql');

const kAnn = '77777777-7777-4777-8777-777777777777';

// A published table whose policy asks another table, and one that nobody has locked. Ann is a member.
async function scene(t, { policy = (m) => `exists (select 1 from ${m} m where m.user_id = auth.uid())` } = {}) {
  const members = await withTable(t, 'user_id uuid', { publish: false });
  await sql(`insert into ${members.quoted} values ('${kAnn}')`);
  const guarded = await withTable(t, 'id int primary key, body text', {
    rls: [`for select to authenticated using (${policy(members.quoted)})`],
  });
  return { members, guarded, free: await withTable(t, 'id int primary key') };
}

async function lock(t, source) {
  const holder = await connect(t);
  await holder.query(`begin; lock table ${source.quoted} in access exclusive mode`);
  return holder;
}

// What arrives in the meantime shows that the stream has passed the rows before it.
async function passes(source, witness, id) {
  await sql(`insert into ${source.quoted} values (${id})`);
  await witness.event((event) => event.new.id === id);
}

module.exports = { kAnn, scene, lock, passes };
